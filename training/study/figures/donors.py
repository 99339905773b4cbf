"""Figures of the donor section: distances to donors, donor-specific convergence, taxa gained and lost."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.drawing import DONOR_COLOUR, INK, PALE, WIDTH
from training.statistics.interval_estimate import IntervalEstimate
from training.study.analysis.donor_convergence import ConvergenceResults, DistanceCourse
from training.study.analysis.engraftment import RecipientEngraftment
from training.study.figures.axes import day_axis
from training.study.figures.patients import ONE_OF_MANY, patient_styles

ENGRAFTMENT_TITLES = {"gained": "donor-only taxa gained", "lost": "recipient-only taxa lost"}


def distances_figure(courses: Sequence[DistanceCourse]) -> Figure:
    """Draw each recipient's distance to the own donor, and to unrelated ones as mean and range, by day."""
    n_columns = min(5 if len(courses) <= 30 else 8, len(courses))
    n_rows = -(-len(courses) // n_columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.25 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    days = np.concatenate([course.days for course in courses])
    values = np.concatenate(
        [(course.to_own, course.to_unrelated, course.low, course.high) for course in courses], axis=1
    )
    # Axes that share their limits go through one another at each change: minutes for hundreds of recipients.
    panels[0].update_datalim(np.column_stack([np.tile(days, len(values)), values.ravel()]))
    for axes in panels[len(courses) :]:
        axes.set_visible(False)
    for axes, course in zip(panels, courses, strict=False):
        axes.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
        axes.fill_between(course.days, course.low, course.high, color=PALE, alpha=0.25, linewidth=0)
        axes.plot(course.days, course.to_unrelated, color=PALE, marker=".", markersize=3, linewidth=1)
        axes.plot(course.days, course.to_own, color=DONOR_COLOUR, marker="o", markersize=2.5, linewidth=1.3)
        axes.set_title(f"{course.patient}, donor {', '.join(course.donors)}", loc="left", fontsize=7)
        day_axis(axes, days)
        axes.set(xlim=panels[0].get_xlim(), ylim=panels[0].get_ylim())
        axes.label_outer()
    figure.supxlabel("days since transplant", fontsize=8)
    figure.supylabel("Bray-Curtis", fontsize=8)
    return figure


def convergence_figure(results: ConvergenceResults) -> Figure:
    """Draw the convergence of each recipient under each donor, and both means with their intervals below."""
    recipients, values = results.recipients, results.change.by_recipient
    order = sorted(range(len(recipients)), key=lambda index: (recipients[index].donor_indices, values[index]))
    figure = Figure(figsize=(WIDTH, 0.7 + min(0.17 * (len(recipients) + 3), 8)), layout="constrained")
    axes, styles = figure.subplots(), patient_styles(recipient.patient for recipient in recipients)
    axes.axvline(0, color=PALE, linewidth=0.8)
    for y, index in enumerate(order):
        if y and recipients[index].donors != recipients[order[y - 1]].donors:
            axes.axhline(y - 0.5, color=PALE, linewidth=0.4)
        colour, marker = styles.get(recipients[index].patient, ONE_OF_MANY)
        axes.plot(values[index], y, marker, color=colour, markersize=4)
    axes.axhline(len(order) - 0.5, color=PALE, linewidth=0.8)
    _mean_row(axes, results.change.recipient_mean, len(order), INK)
    _mean_row(axes, results.change.donor_mean, len(order) + 1, DONOR_COLOUR)
    labels = [f"{recipients[index].patient}, donor {', '.join(recipients[index].donors)}" for index in order]
    labels += [f"mean of {results.change.n} recipients", f"mean of {results.change.n_donors} donors"]
    axes.set_yticks(range(len(labels)), labels)
    axes.set(
        ylim=(len(labels) - 0.4, -0.6),
        xlabel="change of distance to the own donor minus to unrelated donors; 95% intervals",
    )
    axes.tick_params(axis="y", length=0)
    return figure


def _mean_row(axes: Axes, mean: IntervalEstimate, y: int, colour: str) -> None:
    axes.plot([mean.low, mean.high], [y, y], color=colour)
    axes.plot(mean.value, y, "D", color=colour, markersize=5)
    interval = "" if np.isnan(mean.low) else f" ({mean.low:.3f} to {mean.high:.3f})"
    axes.text(1.01, y, f"{mean.value:.3f}{interval}", transform=axes.get_yaxis_transform(), va="center")


def engraftment_figure(recipients: Sequence[RecipientEngraftment]) -> Figure:
    """Draw each recipient's share of taxa gained and lost, with the own donor and with unrelated donors."""
    figure = Figure(figsize=(WIDTH, 0.9 + min(0.17 * len(recipients), 8)), layout="constrained")
    processes = list(recipients[0].shares)
    panels = figure.subplots(1, len(processes), sharey=True, squeeze=False)[0]
    y = np.arange(len(recipients))
    for axes, process in zip(panels, processes, strict=True):
        with_own, with_unrelated = np.array([recipient.shares[process] for recipient in recipients]).T
        axes.hlines(y, with_own, with_unrelated, color=PALE, linewidth=0.8)
        axes.plot(with_unrelated, y, "o", color=PALE, markersize=4, label="unrelated donors")
        axes.plot(with_own, y, "o", color=DONOR_COLOUR, markersize=4, label="own donor")
        axes.set(xlabel="share", xlim=(0, None))
        axes.set_title(ENGRAFTMENT_TITLES[process], loc="left")
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    panels[0].set_yticks(y, [f"{recipient.patient}  {', '.join(recipient.donors)}" for recipient in recipients])
    panels[0].invert_yaxis()
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
