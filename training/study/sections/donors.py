"""The section of the donors: donor-specific convergence, and taxa gained and lost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from training.statistics.donor_convergence import DonorConvergence
from training.study.analysis.donor_convergence import DonorDistance, RecipientChange
from training.study.analysis.donor_panel import DonorAbsence
from training.study.analysis.donor_sensitivity import SensitivityResult
from training.study.analysis.donors import DonorResults, NamedDonors, analyse_donors
from training.study.analysis.engraftment import (
    EngraftmentAbsence,
    EngraftmentEstimate,
    EngraftmentResults,
    RecipientEngraftment,
)
from training.study.figures.donors import convergence_figure, distances_figure, engraftment_figure
from training.study.formatting import initial_capital
from training.study.labels import outcome_label, variant_label
from training.study.section import ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import Row, interval_cells

OWN, UNRELATED = "own donor", "unrelated donors"
EXCHANGED = "p, recipients"
DIFFERENCE = "difference, by recipient"


def donors_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the section of the donors.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    results = analyse_donors(cohort, windows)
    parts = [write_topic("donors/missing", results)] if isinstance(results, DonorAbsence) else _topics(results)
    return join_topics("donors", "Donors", parts)


def _topics(results: DonorResults) -> Iterator[Topic]:
    yield _convergence(results)
    if isinstance(results.engraftment, EngraftmentAbsence):
        yield write_topic("donors/engraftment_missing", results.engraftment)
    else:
        yield _engraftment(results, results.engraftment)
    if results.naming is not None:
        yield _naming(results.naming)
    if results.survival:
        yield _survival(results)


def _convergence(results: DonorResults) -> Topic:
    convergence = results.convergence
    over_time = pd.DataFrame([_distance_row(distance) for distance in convergence.over_time])
    recipients = pd.DataFrame([_change_row(recipient) for recipient in convergence.recipients])
    sensitivity = pd.DataFrame([_sensitivity_row(result) for result in convergence.sensitivity])
    return write_topic(
        "donors/convergence",
        results,
        figures={
            "donor_distance": partial(distances_figure, convergence.courses),
            "donor_approach": partial(convergence_figure, convergence),
        },
        tables={
            "donor_distance": ReportTable(over_time),
            "donor_distance_by_recipient": ReportTable(recipients, supplementary=True),
            "donor_distance_depends_on": ReportTable(sensitivity),
        },
        metrics={
            "donor_approach": convergence.change.recipient_mean.value,
            "donor_approach_by_donor": convergence.change.donor_mean.value,
            "donor_approach_p": convergence.change.p,
        },
    )


def _distance_row(distance: DonorDistance) -> Row:
    prefix = "distance," if distance.quantity == "distance" else "change to"
    return {
        "": f"{prefix} {distance.window}",
        OWN: distance.to_own,
        UNRELATED: distance.to_unrelated,
        **_difference(distance.difference, DIFFERENCE),
    }


def _change_row(recipient: RecipientChange) -> Row:
    return {
        "patient": recipient.patient,
        "donor": ", ".join(recipient.donors),
        OWN: recipient.to_own,
        UNRELATED: recipient.to_unrelated,
        "difference": recipient.difference,
    }


def _sensitivity_row(result: SensitivityResult) -> Row:
    row = {"": variant_label(result), **_difference(result.difference, "by recipient")}
    return row if result.exchangeable else row | {"p": math.nan, EXCHANGED: math.nan}


def _difference(difference: DonorConvergence, heading: str) -> Row:
    """Return the cells of a difference: the mean over recipients under a heading, then that over donors, and p."""
    return {
        "recipients": difference.n,
        "donors": difference.n_donors,
        **interval_cells(heading, difference.recipient_mean),
        **interval_cells("by donor", difference.donor_mean, "by donor, "),
        "p": difference.p,
        EXCHANGED: difference.exchanged_p,
    }


def _engraftment(results: DonorResults, engraftment: EngraftmentResults) -> Topic:
    recipients = pd.DataFrame([_recipient_row(recipient) for recipient in engraftment.recipients])
    estimates = pd.DataFrame([_estimate_row(estimate) for estimate in engraftment.estimates])
    counts = ("", "recipients", "donors", "p", EXCHANGED)
    return write_topic(
        "donors/engraftment",
        results,
        figures={"engraftment": partial(engraftment_figure, engraftment.recipients)},
        tables={
            "engraftment": ReportTable(recipients, tuple(recipients.columns[4:]), supplementary=True),
            "engraftment_estimates": ReportTable(
                estimates, tuple(name for name in estimates.columns if name not in counts)
            ),
        },
    )


def _naming(naming: NamedDonors) -> Topic:
    rows = [
        {
            "patient": recipient.patient,
            "recorded": recipient.recorded,
            "by stool": recipient.likely,
            "probability of the recorded": recipient.probability,
        }
        for recipient in naming.recipients
    ]
    table = ReportTable(pd.DataFrame(rows), supplementary=True)
    metrics = {"suspect_donor_labels": float(len(naming.suspect))}
    return write_topic("donors/naming", naming, tables={"donor_by_stool": table}, metrics=metrics)


def _survival(results: DonorResults) -> Topic:
    rows = [
        {
            "outcome": initial_capital(outcome_label(survival.outcome)),
            "from day": survival.landmark,
            "more engraftment": survival.n_more,
            "less": survival.n_less,
            "left out, ended before": survival.earlier,
            "events": survival.events,
            **interval_cells("hazard ratio", survival.hazard_ratio),
            "log-rank p": survival.log_rank.p,
        }
        for survival in results.survival
    ]
    return write_topic("donors/survival", results, tables={"landmark_survival": ReportTable(pd.DataFrame(rows))})


def _recipient_row(recipient: RecipientEngraftment) -> Row:
    shares = recipient.shares.items()
    return {
        "patient": recipient.patient,
        "donor": ", ".join(recipient.donors),
        "donor-only taxa": recipient.donor_only,
        "recipient-only taxa": recipient.recipient_only,
        **{f"{process}, {OWN}": share for process, (share, _) in shares},
        **{f"{process}, {UNRELATED}": share for process, (_, share) in shares},
    }


def _estimate_row(estimate: EngraftmentEstimate) -> Row:
    return {
        "": f"{'donor-only' if estimate.process == 'gained' else 'recipient-only'} taxa {estimate.process}",
        OWN: estimate.with_own,
        UNRELATED: estimate.with_unrelated,
        **_difference(estimate.difference, DIFFERENCE),
    }
