"""Take the screenshots of the tutorials: `python docs/screenshots.py`, with Chromium installed.

Everything shown is simulated. The commands are those of the tutorials.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).with_name("images")
CLINIC, MLFLOW = "http://127.0.0.1:8321", "http://127.0.0.1:5321"
NAME, PASSWORD = "anna", "only for screenshots"


def main() -> None:
    """Simulate, train, serve, and save one image for each view that a tutorial shows."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ |= {"TAXOKINE_HOME": folder, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        os.chdir(folder)
        _taxokine("simulate", "trial", "--patients", "120", "--taxa", "40", "--seed", "1")
        _taxokine("simulate", "candidates", "--patients", "12", "--taxa", "40", "--seed", "2")
        _taxokine("simulate", "arms", "--arms")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        # The first program creates the store, which the others share while they train beside one another.
        with _server("ui", "--port", "5321", ready=f"{MLFLOW}/health"):
            started = [
                _started("study", "arms/manifest.yaml", "--out", "report"),
                *(
                    _started("train", "--cohorts", "trial/manifest.yaml", "--outcome", *outcome,
                             "--families", "elastic_net,xgboost", "--blocks", "taxa,immune", "--repeats", "1")
                    for outcome in (["objective_response"], ["toxicity", "--grade", "any"])
                ),
            ]  # fmt: skip
            _taxokine("users", "add", NAME, "--password-stdin", typed=PASSWORD)
            codes = [process.wait() for process in started]
            if any(codes):
                raise SystemExit("a study or a training failed")
            _mlflow(browser)
        with _server("serve", "--port", "8321", "--clinic", "candidates/manifest.yaml", ready=f"{CLINIC}/readyz"):
            _clinic(browser)
        page = _page(browser)
        page.goto(Path("report/report.html").absolute().as_uri())
        _save(page, "study")


def _clinic(browser: Browser) -> None:
    page = _page(browser)
    page.goto(CLINIC)
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{CLINIC}/")
    _save(page, "candidates")
    page.locator("main a[href*='patient']").first.click()
    page.wait_for_load_state("networkidle")
    _save(page, "patient")
    page.goto(f"{CLINIC}/upload")
    _save(page, "upload")


def _mlflow(browser: Browser) -> None:
    from taxokine.ui import comparison_addresses

    address = comparison_addresses(MLFLOW)["objective_response"]
    page = _page(browser)
    page.goto(address)
    page.get_by_role("link", name="best of").first.wait_for()
    _save(page, "runs")


def _page(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    # A busy machine needs longer than the browser's own limit of half a minute.
    page.set_default_timeout(300_000)
    return page


def _save(page: Page, name: str) -> None:
    page.screenshot(path=IMAGES / f"{name}.png")


def _taxokine(*words: str, typed: str = "") -> None:
    subprocess.run([sys.executable, "-m", "taxokine", *words], input=typed, text=True, check=True)


def _started(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "taxokine", *words])


@contextmanager
def _server(*words: str, ready: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "taxokine", *words], start_new_session=True)
    try:
        while not _answers(ready):
            if process.poll() is not None:
                raise SystemExit(f"taxokine {words[0]} did not start")
            time.sleep(0.5)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


if __name__ == "__main__":
    main()
