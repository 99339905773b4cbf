"""The documents: they build, load nothing from elsewhere, and their commands run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from features.settings import settings
from taxokine.cli import main
from training import drawing

from ..stores import new_store
from ..undrawn import draw_no_figures

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(page):
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.partition("#")[0].partition(" > ")[0].strip()
            if command.startswith("taxokine "):
                yield command


class Resources(HTMLParser):
    """The addresses of what a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in {"script", "img", "iframe"} and attributes.get("src"):
            self.addresses.append(attributes["src"])
        if tag == "link" and attributes.get("rel") in {"stylesheet", "icon", "preload", "preconnect"}:
            self.addresses.append(attributes["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # As `make docs` builds them. Strict: a broken link, anchor or reference fails.
    recipe = re.search(r"^docs:.*\n\t(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    command = recipe.replace("$(BIN)/", f"{sys.executable} -m ").split()
    built = subprocess.run(
        ["env", *command, "--site-dir", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # Nothing is printed, neither a warning nor what the theme advertises.
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


def test_the_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        resources = Resources()
        resources.feed(page.read_text(encoding="utf-8"))
        assert not [address for address in resources.addresses if "//" in address], page


def test_formulas_are_drawn_without_a_script(site):
    methods = (site / "methods" / "index.html").read_text(encoding="utf-8")
    assert methods.count("<math") >= 10
    assert "arithmatex" not in methods


@pytest.mark.parametrize("command", [command for page in PAGES for command in commands(page)])
def test_commands_and_options_exist(command):
    words, node = shlex.split(command)[1:], main
    while isinstance(node, click.Group) and words and not words[0].startswith("-"):
        node = node.commands[words.pop(0)]
    options = {option for parameter in node.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options | {"--help"}


def test_nothing_says_to_install_the_application_from_an_index():
    # It is in none: whoever registered the name there would be run.
    for path in (*PAGES, *(ROOT / "taxokine").rglob("*.py")):
        assert not re.search(r"pip install[^\n]* '?taxokine\b", path.read_text(encoding="utf-8")), path


def test_the_quickstart_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store(tmp_path))
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    # Figures as PNG are small, and those of the models are looked at elsewhere.
    monkeypatch.setattr(drawing, "DPI", 30)
    draw_no_figures(monkeypatch)
    settings.cache_clear()
    for command in commands(ROOT / "docs" / "quickstart.md"):
        result = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
    assert (tmp_path / "report" / "report.html").exists()
    settings.cache_clear()


def test_each_defence_is_held_by_a_test_that_exists():
    page = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ") and "`tests/" in row]
    assert len(rows) == len([row for row in page.splitlines() if row.startswith("| ")]) - 1
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page):
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"
