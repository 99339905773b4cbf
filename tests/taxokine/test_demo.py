"""The main job, as `make demo` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil


def demo(folder, *words, **env):
    return subprocess.run(
        [sys.executable, "-m", "taxokine", "demo", "--once", *words],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_the_demo_explains_one_simulated_candidate_and_ends(tmp_path):
    done = demo(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout
    assert "candidate candidate (simulated)" in said
    assert "objective_response:" in said
    assert "toxicity_any:" in said
    assert "benefit (response without toxicity): between" in said
    assert "http://127.0.0.1:" in said
    assert "summing up and logging" in done.stderr
    # Nothing is left running, and nothing lies outside the demo's folder.
    assert {path.name for path in tmp_path.iterdir()} == {".demo"}
    time.sleep(0.5)
    assert "uvicorn" not in _children_of(tmp_path)


def test_the_demo_on_real_cohorts(tmp_path, cohorts_dir):
    done = demo(tmp_path, "--cohorts", "mitox lee_2022", TAXOKINE_DATA=str(cohorts_dir))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "(simulated)" not in done.stdout
    assert "on cohorts it had not seen this model" in done.stdout
    assert "whom no model was trained on" in done.stdout


def test_a_cohort_without_outcomes_is_refused(tmp_path, cohorts_dir):
    done = demo(tmp_path, "--cohorts", "momspi", TAXOKINE_DATA=str(cohorts_dir))
    assert done.returncode == 2
    assert "none of momspi defines objective_response" in done.stderr


def _children_of(folder):
    return " ".join(
        " ".join(p.info["cmdline"] or [])
        for p in psutil.process_iter(["cmdline", "cwd"])
        if p.info["cwd"] == str(folder)
    )
