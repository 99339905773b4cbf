"""The time to read a name or a number grows as its length does: none that a client invents keeps the reader busy."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from features.analytes import canonical_analyte
from features.errors import InputError
from features.measured_values import parse_value
from features.tables.decimals import is_number, number_advice
from features.taxon_names import canonical_name, looks_like_taxon

SHORT, LONG = 4_000, 16_000
PATTERNS = (
    " ", "_", ".", ". ", ", ", "[", "(", "|", ";", "1", "a/", "A a", "(1)", "(1) ", " (9", "Hu ", "IL-", "s__", "k__a|",
    "D_1__", "X.", "sp_", "uncultured_", "metagenome_", "a_bacterium_", "ref_mOTU_v1_1 ", "α", "\u0130", "\t1", "<",
    "1e", ".1", "1,", "1.000",
)  # fmt: skip


def value_of(text: str) -> None:
    with pytest.raises(InputError):
        parse_value(f"{text}z", unit="pg/mL")


def seconds(read: Callable[[str], object], text: str) -> float:
    times = []
    for _ in range(3):
        # Of this process: others share the machine.
        started = time.process_time()
        read(text)
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("prefix", ["", "a", "g__A|s__"])
@pytest.mark.parametrize(
    "read", [canonical_name, looks_like_taxon, canonical_analyte, value_of, is_number, number_advice]
)
def test_a_text_four_times_as_long_takes_about_four_times_as_long(read: Callable[[str], object], prefix: str) -> None:
    for pattern in PATTERNS:
        short, long = (f"{prefix}{(pattern * length)[:length]}b!" for length in (SHORT, LONG))
        # Quadratic growth would be 16 times; a text of a millisecond holds nobody up.
        ratio = seconds(read, long) / max(seconds(read, short), 1e-3)
        assert ratio < 9, (read.__name__, prefix, pattern, ratio)
