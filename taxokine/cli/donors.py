"""Donors: `taxokine engraftment` and `taxokine donors`."""

from __future__ import annotations

import click

from taxokine.cli.options import COHORT


@click.group()
def engraftment() -> None:
    """Predict a recipient's stool after a transplant, from the stool before and the donor's."""


@engraftment.command("train", epilog=COHORT)
@click.argument("cohort", nargs=-1, required=True)
def engraftment_train(cohort: tuple[str, ...]) -> None:
    """Train on the transplants of COHORTs, and judge the model on held-out recipients and donors.

    \u0008
    taxokine engraftment train davar_2021
    taxokine engraftment train trial_a.yaml trial_b.yaml

    The profile after is the sample nearest to day 28, of days 7 to 90. Beside the model stand four baselines: recipient
    unchanged, donor copied, their mean, and the mean of other recipients after. If one of them comes nearer, it is what
    predicts. Cohorts must share one profiler. The model is registered as "engraftment", and the run tracked.
    """
    from taxokine.reports.donors import engraftment_report
    from taxokine.terminal import bars, show
    from training.engraftment import train_engraftment

    show(engraftment_report(train_engraftment(cohort, bars())))


@engraftment.command("evaluate", epilog="MODEL is a version of the registered model, or a bundle's folder. " + COHORT)
@click.argument("model")
@click.argument("cohort")
def engraftment_evaluate(model: str, cohort: str) -> None:
    """Judge a trained MODEL, unchanged, on the transplants of another trial.

    \u0008
    taxokine engraftment evaluate 1 other_trial.yaml
    """
    from taxokine.reports.donors import engraftment_report
    from taxokine.terminal import show
    from training.engraftment import evaluate_engraftment

    show(engraftment_report(evaluate_engraftment(model, cohort)))


@click.group()
def donors() -> None:
    """Compare donors for a recipient."""


@donors.command("compare", epilog=COHORT)
@click.argument("cohort")
@click.option("--patient", required=True, help="The recipient, as the cohort names the patient.")
@click.option("--landmark", type=float, metavar="DAYS",
              help="Last day of the recipient's measurements, on the cohort's clock; by default the earliest "
                   "prediction day of the served models, else day 0.")  # fmt: skip
def donors_compare(cohort: str, patient: str, landmark: float | None) -> None:
    """Compare the cleared donors of COHORT for one recipient, by the stool expected after a transplant from each.

    \u0008
    taxokine donors compare davar_2021 --patient PT-18-0007

    It needs a trained engraftment model and, for response and toxicity, served models that read taxa. The differences
    are model-implied, not effects of transplant. Donors are put in an order only if the engraftment model beat its
    baselines with donors left out, and the outcome models are promoted.
    """
    from taxokine.donor_comparison import compare_cohort_donors
    from taxokine.reports.donors import comparison_report
    from taxokine.terminal import show

    show(comparison_report(patient, compare_cohort_donors(cohort, patient, landmark)))
