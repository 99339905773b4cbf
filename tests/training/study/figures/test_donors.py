"""The figure of distances to donors: one scale for all recipients."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from training.study.analysis.donor_convergence import DistanceCourse
from training.study.figures.axes import day_axis
from training.study.figures.donors import distances_figure


def course(number: int, last_day: float, highest: float) -> DistanceCourse:
    days, own = np.array([-7.0, 7.0, last_day]), np.full(3, 0.3)
    return DistanceCourse(f"P{number}", ("D1",), days, own, own + 0.1, own, np.array([0.4, 0.4, highest]))


@pytest.mark.parametrize(
    ("last_day", "labels"), [(28, ["0", "30"]), (90, ["0", "30", "90"]), (300, ["0", "30", "90", "300"]),
                             (530, ["0", "30", "300"])],
)  # fmt: skip
def test_the_axis_of_days_has_a_label_near_its_last_day(last_day: float, labels: list[str]) -> None:
    axes = distances_figure([course(1, last_day, 0.5)]).get_axes()[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == labels


def test_the_axis_of_late_days_begins_at_the_first_of_them() -> None:
    axes = Figure().subplots()
    axes.plot([200, 300, 360], [0, 0, 0])
    limits = axes.get_xlim()
    day_axis(axes, np.array([200.0, 300, 360]))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["300"]
    assert axes.get_xlim() == pytest.approx(limits, abs=15)


def test_every_recipient_is_drawn_on_the_same_axes() -> None:
    figure = distances_figure([course(1, 28, 0.5), course(2, 300, 0.5), course(3, 28, 0.9)])
    panels = figure.get_axes()
    assert len({(*axes.get_xlim(), *axes.get_ylim()) for axes in panels}) == 1
    assert panels[0].get_xlim()[1] > 300
    assert panels[0].get_ylim()[1] > 0.9
    assert [axes.yaxis.get_tick_params()["labelleft"] for axes in panels] == [True, False, False]
    # Shared by Matplotlib, all panels would go through one another at each change.
    assert not panels[0].get_shared_x_axes().joined(panels[0], panels[1])
