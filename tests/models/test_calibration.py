"""Venn-Abers against its definition, and as it is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.isotonic import IsotonicRegression

from models.calibration import Calibration, VennAbers, fit_venn_abers

CALIBRATION = TypeAdapter(Calibration)

rows = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=25)


def by_definition(margin: Any, y: Any, new: float) -> list[float]:
    """Fit isotonic regression with the new patient among the others, once as a 0 and once as a 1."""
    return [float(IsotonicRegression().fit([*margin, new], [*y, label]).predict([new])[0]) for label in (0, 1)]


@given(rows=rows, new=st.integers(-11, 11))
def test_venn_abers_is_what_it_is_defined_as(rows: list[tuple[int, bool]], new: int) -> None:
    # Halves fall on the scores, between them and beyond both ends; whole numbers make ties.
    margin, y = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows], dtype=float)
    calibration = fit_venn_abers(margin, y).range(new / 2)
    assert [float(side) for side in calibration] == pytest.approx(by_definition(margin, y, new / 2), abs=1e-12)


def test_many_margins_at_once() -> None:
    rng = np.random.default_rng(0)
    margin, y, new = rng.normal(size=60), (rng.random(60) < 0.4).astype(float), rng.normal(size=(4, 5))
    low, high = fit_venn_abers(margin, y).range(new)
    assert low.shape == high.shape == new.shape
    reference_value = np.array([by_definition(margin, y, score) for score in new.ravel()])
    np.testing.assert_allclose(np.column_stack([low.ravel(), high.ravel()]), reference_value, atol=1e-12)


def random_rows(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    margin = rng.normal(size=n)
    return margin, (rng.random(n) < 1 / (1 + np.exp(-3 * margin - 1))).astype(float)


def test_the_range_holds_on_average_where_patients_are_exchangeable_and_need_not_elsewhere() -> None:
    rng = np.random.default_rng(1)
    low, high, events, elsewhere = [], [], [], []
    for _ in range(300):
        calibration = fit_venn_abers(*random_rows(rng, 30))
        margin, y = random_rows(rng, 40)
        lower_ends, upper_ends = calibration.range(margin)
        low.append(lower_ends.mean())
        high.append(upper_ends.mean())
        events.append(y.mean())
        elsewhere.append((rng.random(40) < 0.2).mean())
    # Of its two probabilities the one for the outcome that comes is calibrated: together they enclose the share.
    assert np.mean(low) < np.mean(events) < np.mean(high)
    assert np.mean(high) - np.mean(low) < 0.25
    assert np.mean(elsewhere) < np.mean(low)


def test_a_calibration_survives_json() -> None:
    calibration = Calibration(0.7, 0.1, fit_venn_abers(*random_rows(np.random.default_rng(2), 50)))
    restored = CALIBRATION.validate_json(CALIBRATION.dump_json(calibration))
    assert (restored.slope, restored.intercept) == (0.7, 0.1)
    new = np.linspace(-4, 4, 101)
    assert restored.venn_abers is not None
    assert calibration.venn_abers is not None
    np.testing.assert_array_equal(restored.venn_abers.range(new), calibration.venn_abers.range(new))
    assert restored == calibration


@pytest.mark.parametrize(
    "replacements",
    [
        {"scores": [1, 0]},
        {"low": [0.3, 0.2]},
        {"high": [0.9, 0.8]},
        {"low": [0.5, 0.95]},
        {"high": [0.5, 1.1]},
        {"low": [-0.1, 0.2]},
        {"low": [0.1]},
        {"scores": [float("nan"), 1]},
        {"scores": [[0, 1]], "low": [[0.1, 0.2]], "high": [[0.5, 0.9]]},
        {"high": ["x", "y"]},
    ],
)
def test_invalid_steps_are_refused(replacements: dict[str, Any]) -> None:
    sound: dict[str, Any] = {"scores": [0, 1], "low": [0.1, 0.2], "high": [0.5, 0.9]}
    VennAbers(**sound)
    with pytest.raises((ValueError, TypeError)):
        VennAbers(**{**sound, **replacements})
