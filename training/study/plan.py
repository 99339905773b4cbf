"""The plan of the next trial: its power curves as a table and a figure, and its numbers of patients in sentences."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from features.errors import InputError
from training.drawing import STYLE, write_figure
from training.study.analysis.power import PowerResult
from training.study.analysis.trial_design import TwoArmDesign
from training.study.figures.power import power_figure
from training.study.sentences import write_sentences


def plan_sentences(result: PowerResult) -> tuple[str, ...]:
    """Return the number of patients that each effect requires, a sentence each, with its test and assumptions."""
    template = "plan/two_arms" if isinstance(result.design, TwoArmDesign) else "plan/one_arm"
    return write_sentences(template, result)["summary"]


def write_plan(folder: Path, result: PowerResult) -> None:
    """Write `plan.csv`, `plan.svg` and `plan.png` into a folder, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        result.curves.to_csv(folder / "plan.csv", index=False)
        with mpl.rc_context(STYLE):
            write_figure(folder, "plan", power_figure(result))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
