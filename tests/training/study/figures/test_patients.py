"""Colours of patients: of no other meaning, and distinct to readers with colour vision deficiency."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from features.cohort import read_cohort
from taxokine.simulation import five_patients, simulate_trial
from training import drawing
from training.study.figures import adverse_events, response
from training.study.figures.patients import patient_styles
from training.study.study import study_sections

DEFICIENCIES = {
    "none": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, IEEE Transactions on Visualization and Computer Graphics 15:1291-1298.
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
OTHER_MEANINGS = {
    to_hex(colour)
    for colour in (
        *drawing.COLOURS, drawing.DONOR_COLOUR, drawing.RAISES, drawing.LOWERS, drawing.PALE, drawing.INK,
        *response._COLOURS.values(), *adverse_events.GRADE_COLOURS,
    )
}  # fmt: skip


def lab(colour, deficiency="none"):
    """Return CIELAB coordinates of a colour, (3,), as a reader with a deficiency sees it."""
    values = np.array(to_rgb(colour))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    perceived_colour = np.clip(DEFICIENCIES[deficiency] @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    ratios = to_xyz @ perceived_colour / np.array([0.95047, 1, 1.08883])
    x, y, z = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_patients_are_told_apart_with_any_colour_vision(deficiency):
    for first, second in combinations(drawing.PATIENT_COLOURS, 2):
        assert np.linalg.norm(lab(first, deficiency) - lab(second, deficiency)) > 30, (first, second)
    assert len(set(drawing.PATIENT_MARKERS)) == len(drawing.PATIENT_COLOURS)


def test_no_colour_of_a_patient_resembles_one_with_another_meaning():
    for patient in drawing.PATIENT_COLOURS:
        for other in OTHER_MEANINGS:
            assert np.linalg.norm(lab(patient) - lab(other)) > 20, (patient, other)


def test_a_patient_has_one_style_and_many_patients_have_none():
    assert patient_styles(["P3", "P1", "P3"])["P3"] == (drawing.PATIENT_COLOURS[2], drawing.PATIENT_MARKERS[2])
    assert list(patient_styles(["P12", "P3"]).values()) == list(
        zip(drawing.PATIENT_COLOURS[:2], drawing.PATIENT_MARKERS[:2], strict=True)
    )
    assert patient_styles(f"P{number}" for number in range(1, 7)) == {}
    assert patient_styles([]) == {}


def test_every_figure_of_five_patients_shows_a_patient_in_the_same_colour(tmp_path):
    trial = replace(five_patients(), n_taxa=30)
    cohort = read_cohort(simulate_trial(tmp_path / "trial", trial), tmp_path)
    colours, figures = dict[str, set[str]](), 0
    day_labels = set()
    for make_section in study_sections().values():
        for report_figure in make_section(cohort).figures.values():
            figure = report_figure.draw()
            day_labels |= {axes.get_xlabel() for axes in figure.axes if "day" in axes.get_xlabel()}
            legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
            entries = [
                (text, handle)
                for legend in legends
                for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            ]
            for text, handle in entries:
                if re.fullmatch(r"P\d+", text.get_text()):
                    figures += 1
                    colours.setdefault(text.get_text(), set()).add(to_hex(handle.get_color()))
    assert colours == {f"P{number}": {colour} for number, colour in enumerate(drawing.PATIENT_COLOURS, 1)}
    # Cytokines, diversity and ordination.
    assert figures == 15
    assert {label for label in day_labels if not re.match("(days|months) from day 0", label)} == set()
