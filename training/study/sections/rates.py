"""Table rows of rates."""

from __future__ import annotations

from training.study.analysis.rates import ExactRate

RATE_COLUMNS = ("share", "95% low", "95% high", "95% one-sided upper")
"""The columns of `rate_row` that are shown in percent."""
Row = dict[str, str | int | float]


def rate_row(label: str, rate: ExactRate) -> Row:
    """Return a table's row of a rate: its label, counts, share and interval."""
    row: Row = {"rate of": label, "patients": rate.events, "of": rate.n}
    return row | {"share": rate.value, "95% low": rate.low, "95% high": rate.high}
