"""Table rows, and cells of them, that several sections have."""

from __future__ import annotations

from training.statistics.interval_estimate import IntervalEstimate
from training.study.analysis.rates import ExactRate
from training.study.analysis.survival import OutcomeSurvival
from training.study.formatting import initial_capital
from training.study.labels import outcome_label

RATE_COLUMNS = ("share", "95% low", "95% high", "95% one-sided upper")
"""The columns of `rate_row` that are shown in percent."""
Row = dict[str, str | int | float]


def interval_cells(heading: str, estimate: IntervalEstimate, start: str = "") -> Row:
    """Return the cells of an estimate and of its 95% interval, whose headings begin with `start`."""
    return {heading: estimate.value, f"{start}95% low": estimate.low, f"{start}95% high": estimate.high}


def rate_row(label: str, rate: ExactRate) -> Row:
    """Return a table's row of a rate: its label, counts, share and interval."""
    return {"rate of": label, "patients": rate.events, "of": rate.n, **interval_cells("share", rate)}


def month_rows(survival: OutcomeSurvival, **cells: str) -> list[Row]:
    """Return a table's rows of the shares that are free of the event at months, with these cells after the outcome."""
    return [
        {
            "outcome": initial_capital(outcome_label(survival.outcome)),
            **cells,
            "month": at_month.month,
            "at risk": at_month.at_risk,
            **interval_cells("share", at_month.share),
        }
        for at_month in survival.at_months
    ]
