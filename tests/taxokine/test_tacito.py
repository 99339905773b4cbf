"""A randomised trial with TACITO's numbers, from two commands; each headline figure against statsmodels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from features.outcomes import DAYS_PER_MONTH
from features.settings import settings
from taxokine.cli.main import main
from training import drawing

from ..stores import new_store


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of the trial and its report, made as a researcher makes them; figures as PNG are small."""
    folder = tmp_path_factory.mktemp("tacito")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(folder))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setattr(drawing, "DPI", 30)
        settings.cache_clear()
        for command in (
            ["simulate", str(folder / "trial"), "--arms"],
            ["study", str(folder / "trial" / "manifest.yaml"), "--out", str(folder / "report")],
        ):
            result = CliRunner().invoke(main, command, catch_exceptions=False)
            assert result.exit_code == 0, result.output
        yield folder
    settings.cache_clear()


@pytest.fixture(scope="module")
def sheet(report: Path) -> pd.DataFrame:
    return pd.read_csv(report / "trial" / "patients.csv").assign(treated=lambda rows: rows["arm"] == "FMT + ICI")


def table(report: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(report / "report" / "tables" / f"arms_{name}.csv")


def test_the_trial_has_what_tacito_reported(report: Path) -> None:
    page = (report / "report" / "report.html").read_text()
    assert "Assigned at random: 23 patients to FMT with ICI" in page
    assert "12 of 23 (52%) with FMT and 7 of 22 (32%) of controls" in page
    assert "hazard ratio 0.49" in page
    assert "at 12 months 70% (47 to 87%) against 41% (21 to 64%)" in page


def test_response_is_that_of_statsmodels(report: Path, sheet: pd.DataFrame) -> None:
    row = table(report, "arm_rates").set_index("patients with").loc["Objective response"]
    responds = sheet["recist"].isin(["CR", "PR"])
    counts = [(int(responds[side].sum()), int(side.sum())) for side in (sheet["treated"], ~sheet["treated"])]
    assert counts == [(12, 23), (7, 22)]
    # statsmodels is up to 0.006 from the intervals that Newcombe 1998 published, and the report 0.00015.
    low, high = confint_proportions_2indep(*counts[0], *counts[1], method="score", compare="diff")
    assert row["difference"] == pytest.approx(12 / 23 - 7 / 22, abs=1e-9)
    assert [row["difference, 95% low"], row["difference, 95% high"]] == pytest.approx([low, high], abs=0.006)
    exact = proportion_confint(12, 23, method="beta")
    assert [row["FMT + ICI, 95% low"], row["FMT + ICI, 95% high"]] == pytest.approx(exact, abs=1e-9)


def test_progression_free_survival_is_that_of_statsmodels(report: Path, sheet: pd.DataFrame) -> None:
    days, event, treated = sheet["pfs_days"], sheet["progressed_or_died"], sheet["treated"]
    row = table(report, "arm_survival").set_index("outcome").loc["Progression-free survival"]
    fit = PHReg(days, treated.to_numpy(float)[:, None], status=event, ties="efron").fit()
    assert row["hazard ratio"] == pytest.approx(float(np.exp(fit.params[0])), rel=1e-6)
    assert [row["95% low"], row["95% high"]] == pytest.approx(np.exp(fit.conf_int()[0]), rel=1e-6)
    # The report permutes arms, and statsmodels has the chi-squared approximation.
    assert row["log-rank p"] == pytest.approx(survdiff(days, event, treated)[1], abs=0.01)
    at_months = table(report, "arm_survival_at").set_index(["outcome", "arm", "month"])["share"]
    areas, until = [], min(days[treated].max(), days[~treated].max())
    for arm, members in (("FMT + ICI", treated), ("control", ~treated)):
        curve = SurvfuncRight(days[members], event[members])
        share = curve.surv_prob[np.searchsorted(curve.surv_times, 12 * DAYS_PER_MONTH, side="right") - 1]
        assert at_months["Progression-free survival", arm, 12] == pytest.approx(float(share), abs=1e-9)
        edges = np.append(np.append(0, curve.surv_times[curve.surv_times < until]), until)
        heights = np.append(1, curve.surv_prob[curve.surv_times < until])
        areas.append(float(heights @ np.diff(edges)))
    assert row["restricted mean, months more"] == pytest.approx((areas[0] - areas[1]) / DAYS_PER_MONTH, rel=1e-6)


def test_severe_adverse_events_are_those_of_the_sheet(report: Path, sheet: pd.DataFrame) -> None:
    events = pd.read_csv(report / "trial" / "adverse_events.csv")
    severe = sheet["patient"].isin(events.loc[events["ctcae_grade"] >= 3, "patient"])
    row = table(report, "arm_rates").set_index("patients with").loc["Adverse event, grade 3 or above"]
    assert row["FMT + ICI, patients"] == f"{(severe & sheet['treated']).sum()} of 23"
    assert row["control, patients"] == f"{(severe & ~sheet['treated']).sum()} of 22"
    assert row["control, 95% high"] == pytest.approx(proportion_confint(0, 22, method="beta")[1], abs=1e-9)
