"""What is installed is what was pinned, and may be given to others."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .licences import is_binding, runtime_distributions

ROOT = Path(__file__).parents[1]
PINS = re.split(r"\n(?! )", (ROOT / "requirements.txt").read_text().strip())
PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.!+]+)( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")


def test_every_pin_has_hashes_and_none_names_a_registry() -> None:
    assert [pin.partition(" ")[0] for pin in PINS if not PIN.fullmatch(pin)] == []
    # MLflow installs the pins first, for one file cannot hold both what has hashes and what has none.
    environment = (ROOT / "python_env.yaml").read_text()
    assert "build_dependencies: [-r requirements.txt]\ndependencies: [.]" in environment


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [text for texts in project["project"]["optional-dependencies"].values() for text in texts]
    texts = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]]
    pinned = {canonicalize_name(pin.partition("==")[0]) for pin in PINS}
    assert {canonicalize_name(Requirement(text).name) for text in texts} - pinned == set()


def test_what_runs_is_under_licences_that_leave_the_program_free() -> None:
    licensed = runtime_distributions()
    assert len(licensed) > 50
    assert [item for item in licensed if not item.licence] == []
    assert [item for item in licensed if is_binding(item.licence)] == []


@pytest.mark.parametrize(
    ("licence", "binding"),
    [
        ("MIT", False),
        ("LGPL-3.0-only", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("GPL-2.0-or-later OR MIT", False),
        ("GPL-3.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0-or-later", True),
        ("GNU Affero General Public License v3", True),
        ("MIT AND GPL-2.0-only", True),
        ("SSPL-1.0", True),
    ],
)
def test_licences_that_bind_are_known(licence: str, binding: bool) -> None:
    assert is_binding(licence) is binding
