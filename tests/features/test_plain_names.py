"""Codes in plain words: clocks, profilers and cohorts."""

from __future__ import annotations

import pytest

from features.plain_names import day_0_event, profiler_title, short_title


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("mpa_vOct22_CHOCOPhlAnSGB_202212", "MetaPhlAn 4 (October 2022 database)"),
        ("mpa_vJan21_CHOCOPhlAnSGB_202103", "MetaPhlAn 4 (January 2021 database)"),
        ("mpa_v30_CHOCOPhlAn_201901", "mpa_v30_CHOCOPhlAn_201901"),
        ("kraken2", "kraken2"),
    ],
)
def test_a_profiler_is_named_by_program_and_month(code, title):
    assert profiler_title(code) == title


def test_a_clock_is_named_by_the_event_on_its_day_0():
    assert day_0_event("day_fmt") == "the first transplant"
    assert day_0_event("day_ici") == "the first dose of immune checkpoint inhibitors"
    assert day_0_event("day_surgery") == "day 0 of the clock day_surgery"


def test_a_cohort_is_named_by_the_first_part_of_its_title():
    assert short_title("Lee 2022, melanoma, immune checkpoint inhibitors") == "Lee 2022"
