"""The colour and marker of each of few patients, the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable

from training.drawing import PATIENT_COLOUR, PATIENT_COLOURS, PATIENT_MARKERS

PatientStyle = tuple[str, str]
"""Colour and marker."""
ONE_OF_MANY: PatientStyle = (PATIENT_COLOUR, "o")
"""Of each patient where there are more than colours."""


def patient_styles(codes: Iterable[str]) -> dict[str, PatientStyle]:
    """Return the colour and marker of each patient, by code; empty where there are more patients than colours.

    Patient P2 has the second of each in every figure, unless the study has more patients than colours.
    """
    present = sorted(set(codes), key=lambda code: int(code[1:]))
    if len(present) > len(PATIENT_COLOURS):
        return {}
    numbers = [int(code[1:]) - 1 for code in present]
    positions = numbers if max(numbers, default=0) < len(PATIENT_COLOURS) else range(len(present))
    return {
        code: (PATIENT_COLOURS[position], PATIENT_MARKERS[position])
        for code, position in zip(present, positions, strict=True)
    }
