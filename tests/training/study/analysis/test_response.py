"""Response by RECIST and iRECIST, against their published rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.study.analysis.response import best_response, confirmed_response, lesion_changes


@pytest.mark.parametrize(
    ("responses", "recist", "irecist"),
    [
        (["SD", "PR", "CR", "PD"], "CR", "CR"),
        (["SD", "PD", "CR"], "SD", "SD"),
        (["PD"], "PD", "PD"),
        (["iUPD", "iCPD"], "PD", "PD"),
        (["iUPD", "PR", "PR"], "PD", "PR"),
        (["SD", "iUPD", "PR", "iUPD", "iCPD", "CR"], "SD", "PR"),
        (["iUPD"], "PD", "iUPD"),
        (["NE", "NE"], "NE", "NE"),
        (["NE", "SD"], "SD", "SD"),
        ([], "NE", "NE"),
    ],
)
def test_progression_ends_the_best_response_by_irecist_only_if_confirmed(responses, recist, irecist):
    assert best_response(responses) == recist
    assert best_response(responses, immune=True) == irecist


@pytest.mark.parametrize(
    ("days", "responses", "best"),
    [
        ([60, 88], ["PR", "PR"], "PR"),
        ([60, 87], ["PR", "PR"], "SD"),
        ([60, 120], ["PR", "CR"], "PR"),
        ([60, 120, 180], ["PR", "CR", "CR"], "CR"),
        ([60, 120], ["PR", "PD"], "SD"),
        ([60], ["PD"], "PD"),
        ([60], ["NE"], "NE"),
    ],
)
def test_a_response_is_confirmed_if_seen_again_after_four_weeks(days, responses, best):
    assert confirmed_response(days, responses) == best


def test_changes_are_from_the_last_sum_on_or_before_day_0():
    changes = lesion_changes(
        pd.DataFrame(
            {
                "patient": ["a", "a", "a", "a", "b", "c", "c", "d"],
                "day": [-30.0, 0, 60, 120, 5, 0, 60, -5],
                "sum_mm": [99.0, 50, 25, np.nan, 10, 0, 4, 30],
            }
        )
    )
    assert changes.to_dict("list") == {"patient": ["a"], "day": [60.0], "change": [-50.0]}
