"""Trials: `taxokine study`, `plan` and `simulate`."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

import click

from taxokine.cli.options import COHORT, NumberOption, number_options


@click.command(epilog=COHORT)
@click.argument("cohort")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="The report's folder: new, empty, or an earlier report, which is replaced.")  # fmt: skip
@click.option("--windows", default="7-28,90-", show_default=True, metavar="DAYS,…",
              help="Windows after day 0 that are compared with the baseline; fix them before you look.")  # fmt: skip
@click.option("--stop-above", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.3,
              show_default=True, metavar="RATE",
              help="Rate of events of grade 3 or above at which a safety board would stop.")  # fmt: skip
def study(cohort: str, out: Path, windows: str, stop_above: float) -> None:
    """Analyse a trial: its patients, safety, cytokines, microbiome and donors, in one run and one report.

    \u0008
    taxokine study davar_2021 --out report/
    taxokine study mine.yaml --out report/
    taxokine study davar_2021,mine.yaml --out pooled/

    The report is one page that reads on screen and prints to A4, with every figure as SVG and PNG and every table as
    CSV beside it. A section appears when its data exist; a line says what is missing otherwise. Each number has its
    method, its n and its interval, and the methods are written out for a paper. MLflow keeps the same files in one run.

    Of several trials, separated by commas, the report pools the approach to the own donor by random effects, with
    heterogeneity and a forest plot.
    """
    from features.trajectories import parse_windows
    from taxokine.reports.trials import study_report
    from taxokine.terminal import bars, show
    from training.study.pooled import run_pooled_study
    from training.study.study import run_study

    days = parse_windows(windows)
    if "," in cohort:
        result = run_pooled_study([name.strip() for name in cohort.split(",")], out, bars(), days)
    else:
        result = run_study(cohort, out, bars(), windows=days, stop_above=stop_above)
    show(study_report(result))


_PARAMETERS: tuple[NumberOption, ...] = (
    ("--response-rate", float, "RATE",
     "Expected response rate, also that of the AUROC.  [default: 0.4; with --arms 0.52]"),
    ("--historical-rate", float, "RATE", "One arm: response rate known without the treatment.  [default: 0.2]"),
    ("--auroc", float, "AUROC", "One arm: AUROC of a score fixed beforehand, shown against 0.5.  [default: 0.75]"),
    ("--per-donor", int, "N", "One arm: patients that share a donor.  [default: 2]"),
    ("--control-rate", float, "RATE", "--arms: response rate of controls.  [default: 0.32]"),
    ("--hazard-ratio", float, "RATIO",
     "--arms: hazard of progression or death with FMT over that of controls.  [default: 0.5]"),
    ("--control-median", float, "MONTHS", "--arms: median progression-free survival of controls.  [default: 8]"),
    ("--accrual", float, "MONTHS", "--arms: time over which patients enter.  [default: 18]"),
    ("--follow-up", float, "MONTHS", "--arms: time from the last entry to the analysis.  [default: 12]"),
    ("--donors", int, "N", "--arms: donors who share the patients with FMT.  [default: 4]"),
    ("--approach convergence", float, "SDS",
     "Approach to the own donor beyond unrelated ones; with --arms, beyond controls'.  [default: 0.5]"),
    ("--donor-correlation", float, "R",
     "Correlation of patients who share a donor.  [default: 0.2; with --arms 0.05]"),
    ("--fold-change", float, "RATIO",
     "Change of a cytokine from baseline; with --arms beyond that of controls.  [default: 2]"),
    ("--between-sd", float, "LOG2", "SD of patients' true changes, of log2 concentrations.  [default: 0.5]"),
    ("--within-sd", float, "LOG2",
     "SD of a patient's repeated draws; 1.0 is the median over the analytes of momspi.  [default: 1]"),
    ("--alpha", float, "LEVEL", "Two-sided level of each test.  [default: 0.05]"),
    ("--power", float, "SHARE", "Required probability to show the effect.  [default: 0.8]"),
    ("--most max_patients", int, "N", "Largest number of patients that is simulated.  [default: 200]"),
    ("--simulations", int, "N", "Trials for each point.  [default: 2000]"),
    ("--seed", int, "N", "Of the simulated trials.  [default: 0]"),
)  # fmt: skip
"""Options of `plan` that are parameters of a design; those that are not given are the defaults of the design."""


@click.command()
@click.option("--arms", is_flag=True,
              help="Plan a randomised trial of FMT and ICI against ICI, half of the patients each.")  # fmt: skip
@number_options(_PARAMETERS)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="plan", show_default=True,
              help="Folder of plan.svg, plan.png and plan.csv.")  # fmt: skip
def plan(arms: bool, out: Path, **options: float | None) -> None:
    """How many patients the next trial needs to show an effect, by simulation, as curves.

    \u0008
    taxokine plan --response-rate 0.4 --historical-rate 0.2
    taxokine plan --fold-change 1.5 --within-sd 0.8 --power 0.9
    taxokine plan --arms --hazard-ratio 0.5 --control-median 8 --donors 3

    Of one arm four effects are planned for: a response rate against a known one, an AUROC against 0.5, the approach to
    the own donor, and a cytokine's change. Of two arms: the difference of response rates, the hazard ratio, the
    approach to the donors and a cytokine's change, all with the donors as clusters. Each result names its test and the
    assumptions. Besides the effect as given, the figure shows three quarters of it, since small trials overestimate
    effects, and none, where the curve is the rate of false positives. Set each effect to the smallest that matters to a
    patient, not to the estimate of a small trial.
    """
    from taxokine.reports.trials import plan_report
    from taxokine.terminal import bars, show
    from training.study.analysis.power import power_result
    from training.study.analysis.trial_design import TrialDesign, TwoArmDesign
    from training.study.plan import write_plan

    kind = TwoArmDesign if arms else TrialDesign
    parameters = {name: value for name, value in options.items() if value is not None}
    names = {field.name for field in fields(kind)}
    foreign = ", ".join(f"--{name.replace('_', '-')}" for name in parameters if name not in names)
    if foreign and arms:
        raise click.UsageError(f"{foreign}: a trial of two arms has no such parameter; leave it out, or --arms")
    if foreign:
        raise click.UsageError(f"{foreign}: a trial of one arm has no such parameter; add --arms, or leave it out")
    # Click has made each a number of its field's type.
    design = kind(**parameters)  # type: ignore[arg-type]
    progress = bars()
    progress.begin("simulating trials", 4)
    result = power_result(design, progress.advance)
    write_plan(out, result)
    show(plan_report(result, out))


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--patients", "n_patients", type=int, metavar="N", help="Patients; --five has its own.  [default: 120]")
@click.option("--donors", "n_donors", type=int, metavar="N", help="Donors, shared evenly.  [default: 6]")
@click.option("--taxa", "n_taxa", type=int, metavar="N", help="Species.  [default: 300]")
@click.option("--effect", type=float, metavar="FACTOR",
              help="Factor on the causes of response, harm and survival; 0 plants none.  [default: 1]")  # fmt: skip
@click.option(
    "--seed",
    type=int,
    help="Two trials of one seed are equal to the byte.  [default: 0; --arms has the seed of TACITO's numbers]",
)
@click.option("--five", type=click.Choice(["all", "first"]), is_flag=False, flag_value="all",
              help="Five patients who live 2.5, 7.4, 8.3, 28.5 and 52.3 months; all die, or the 'first'.")  # fmt: skip
@click.option("--arms", is_flag=True,
              help="A randomised trial of FMT or a sham transplant, like TACITO: 45 patients.")  # fmt: skip
def simulate(out: Path, five: Literal["all", "first"] | None, arms: bool, **options: float | None) -> None:
    """Simulate an FMT + ICI trial with known causes, and write its files and manifest into OUT.

    \u0008
    taxokine simulate trial/ --patients 50
    taxokine study trial/manifest.yaml --out report/

    Besides the files that a hospital would have, causes.json and truth.csv hold the planted effects. Every file is
    marked as simulated.
    """
    from taxokine.simulation import TACITO, Trial, five_patients, simulate_trial

    if five is not None and arms:
        raise click.UsageError("--five and --arms are two different trials; give one of them")
    trial = five_patients(five) if five is not None else TACITO if arms else Trial()
    changes = {name: value for name, value in options.items() if value is not None}
    click.echo(simulate_trial(out, replace(trial, **changes)))  # type: ignore[arg-type]
