"""Experiments: `taxokine train`, `promote`, `validate`, `card`, `predict` and `ui`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from features.columns import BLOCKS
from features.outcomes import GRADES, RESPONSES, SURVIVAL_OUTCOMES
from taxokine.cli.options import COHORT, LandmarkOptions, choices, comma_separated, landmark_options

if TYPE_CHECKING:
    from models.encoder import Representation
    from training.validation.config import Selection
    from training.workers import Workers

MODEL = "MODEL is NAME, NAME@ALIAS or NAME/VERSION in the registry, or a bundle's folder."


class _ExperimentOptions(LandmarkOptions):
    """The values of the options of `train`, as `training.experiment.Experiment` takes them; the grade is apart."""

    cohorts: tuple[str, ...]
    outcome: str
    families: tuple[str, ...]
    blocks: tuple[str, ...]
    representation: tuple[Representation, ...]
    selection: Selection
    min_prevalence: float
    pool_labels: bool
    waive: tuple[str, ...]
    n_folds: int
    repeats: int
    seed: int
    permutations: int


@click.command(epilog=COHORT)
@click.option("--cohorts", required=True, callback=comma_separated, metavar="COHORT,…", help="Cohorts to learn from.")
@click.option("--outcome", required=True, type=click.Choice([*RESPONSES, "toxicity", *SURVIVAL_OUTCOMES]),
              help="What to predict.")  # fmt: skip
@click.option("--grade", type=click.Choice([*GRADES, ""]), default="", show_default=False,
              help="Of any grade, or of this CTCAE grade and above; needed for toxicity and for its time.")  # fmt: skip
@click.option("--families", default="elastic_net,xgboost_forest,xgboost", show_default=True, metavar="FAMILY,…",
              callback=comma_separated,
              help="Families of classifiers; a scikit-learn module:Class is compared, not registered.")  # fmt: skip
@click.option("--blocks", default="taxa,immune,clinical", show_default=True, metavar="BLOCK,…",
              callback=choices(BLOCKS),
              help="Blocks (taxa, immune, clinical, donor, over_time); every set of them is tried.")  # fmt: skip
@landmark_options
@click.option("--representation", default="", show_default="all but diversity", metavar="REPRESENTATION,…",
              callback=choices(("clr", "presence", "rank", "genus_clr", "genus_presence", "diversity")),
              help="How taxa are represented; several are averaged; of times, one (clr).")  # fmt: skip
@click.option("--selection", default="average", show_default=True, type=click.Choice(["average", "inner"]),
              help="Average all settings and representations, or select one by inner validation (slower).")  # fmt: skip
@click.option("--min-prevalence", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share of training samples in which a taxon must be found.")  # fmt: skip
@click.option("--pool-labels", is_flag=True, help="Pool published labels although they differ in meaning.")
@click.option("--waive", default="", callback=comma_separated, metavar="CODE,…",
              help="Errors of the audit to train in spite of; the card repeats them.")  # fmt: skip
@click.option("--folds", "n_folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of each repeat.")
@click.option("--repeats", type=click.IntRange(1), default=2, show_default=True,
              help="Repeats of the whole validation, each with another seed.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--permutations", type=click.IntRange(0), default=0, show_default=True,
              help="Refits to permuted outcomes, and to permuted profiles; promotion needs about 200.")  # fmt: skip
@click.option("--workers", type=int, default=-1, show_default="one a core",
              help="Threads; the results are the same whatever their number.")  # fmt: skip
@click.option("--dask", metavar="local|SCHEDULER",
              help="Run on a Dask cluster: of this machine's cores, or of a scheduler such as tcp://127.0.0.1:8786; "
              "the results are the same.")  # fmt: skip
@click.option("--resume", is_flag=True,
              help="Go on with the last interrupted experiment of these options and data.")  # fmt: skip
def train(grade: str, workers: int, dask: str | None, resume: bool, **options: Unpack[_ExperimentOptions]) -> None:
    """Launch one tracked experiment: validate, fit, log and register.

    \u0008
    taxokine train --cohorts lee_2022,mitox --outcome toxicity --grade any
    taxokine train --cohorts lee_2022,frankel_2017,mitox --outcome objective_response --blocks taxa,clinical

    The data are audited first. Each family is fitted to each set of blocks, one MLflow run each, under one parent run,
    beside the baselines. Validation is nested cross-validation by patient, and leave-one-cohort-out where there are
    several cohorts or centres. The best is registered under the outcome's name with the alias "candidate"; at another
    landmark than day 0, under a name of its own, such as objective_response_day_28.

    Survival and the time to toxicity need cohorts that date events; their models are compared, and not registered.
    """
    from taxokine.reports.experiments import result_report, survival_report
    from taxokine.terminal import bars, show
    from training.experiment import Experiment, train

    experiment = Experiment(grade=grade or None, **options)
    if resume and experiment.outcome in SURVIVAL_OUTCOMES:
        raise click.UsageError("--resume is for classifiers; experiments on times take minutes, begin it anew")
    with _opened_workers(workers, dask) as opened:
        if experiment.outcome in SURVIVAL_OUTCOMES:
            from training.survival import train_survival

            show(survival_report(train_survival(experiment, bars(), opened)))
        else:
            show(result_report(train(experiment, bars(), opened, resume=resume)))


@contextmanager
def _opened_workers(threads: int, dask: str | None) -> Iterator[Workers]:
    """Return the threads of this process, or the workers of a Dask cluster, whose dashboard's address is printed."""
    from training.workers import Threads

    if dask is None:
        yield Threads(threads)
        return
    if find_spec("distributed") is None:
        raise click.UsageError(
            "--dask needs Dask, which is not installed; in Taxokine's folder run: pip install '.[dask]'"
        )
    from training.dask_workers import dask_workers

    with dask_workers(dask) as workers:
        click.echo(f"Dask shows its workers and their tasks at {workers.dashboard}", err=True)
        yield workers


@click.command()
@click.argument("model", metavar="OUTCOME[/VERSION|@ALIAS]")
@click.pass_context
def promote(ctx: click.Context, model: str) -> None:
    """Make a registered model the champion, if its evidence passes every gate.

    \u0008
    taxokine promote objective_response            its candidate
    taxokine promote objective_response/3          version 3
    taxokine promote toxicity_any@candidate-taxa   whatever an alias names

    The gates: every AUROC is of the served probability; the prediction interval of the AUROC in a new centre lies above
    0.5; permuted outcomes seldom give as high an AUROC (train with --permutations 200); AUROC and gain hold without any
    one cohort; taxa and immune blocks add to clinical and technical covariates; the
    Brier score is no worse than the prevalence's; probabilities are calibrated; the patients suffice by Riley's
    criteria; the audit of the data found no error, waived or not.

    What each gate found is kept as a tag of the version, passed or not; the exit status is 1 where it is refused. A
    champion is served before a candidate; a simulated one goes on saying that it is.
    """
    from taxokine.reports.experiments import promotion_report
    from taxokine.terminal import show
    from training.evidence.promotion import promote

    promotion = promote(model)
    show(promotion_report(promotion))
    ctx.exit(0 if promotion.granted else 1)


@click.command(epilog=f"{MODEL} {COHORT}")
@click.argument("model")
@click.argument("cohort")
@click.option("--waive", default="", callback=comma_separated, metavar="CODE,…",
              help="Errors of the audit to validate in spite of.")  # fmt: skip
@click.option("--recalibrate", is_flag=True,
              help="Report the performance after recalibration in the large too; the model stays.")  # fmt: skip
@click.option("--demote", is_flag=True, help="Take the alias champion from a model that the cohort contradicts.")
def validate(model: str, cohort: str, waive: tuple[str, ...], recalibrate: bool, demote: bool) -> None:
    """Validate a registered model on the labelled patients of a COHORT that it has not seen.

    \u0008
    taxokine validate objective_response mitox
    taxokine validate toxicity_any@champion mine.yaml --recalibrate --demote

    Each patient is predicted as the server does. Reported are the patients predicted and those for whom the model
    abstained, with the rules; AUROC and Brier score beside that of the cohort's own prevalence; calibration in the
    large and slope; the decision curve; each centre; every number with its interval. MLflow keeps it as a run, and the
    model's card and page show it.

    Patients whose stool profile is in the training set are left out, whatever the cohort's name; above a tenth of the
    patients the cohort is refused.

    A cohort contradicts a model where the 95% interval of the AUROC lies below 0.5, or that of the calibration slope
    below 0, with at least 10 patients of each outcome.
    """
    from taxokine.reports.external import external_report
    from taxokine.terminal import bars, show
    from training.external.run import validate_elsewhere

    run = validate_elsewhere(model, cohort, bars(), waive=waive, recalibrate=recalibrate, demote=demote)
    show(external_report(run))


@click.command(epilog=MODEL)
@click.argument("model")
@click.option("--tripod", is_flag=True, help="Print the 52 sub-items of TRIPOD+AI with their answers instead.")
@click.option("--form", type=click.Path(dir_okay=False, path_type=Path),
              help="YAML file of the answers that no run can give; written, to be filled in, if missing.")  # fmt: skip
def card(model: str, tripod: bool, form: Path | None) -> None:
    """Print a model's card, or its answers to the reporting checklist TRIPOD+AI.

    \u0008
    taxokine card objective_response
    taxokine card objective_response --tripod --form tripod.yaml > checklist.md

    Each sub-item is answered from the run, is not applicable, or is one that only you can answer: --form writes these
    into a new file, and merges the answers of a file that is there.
    """
    from models.registry import find_model
    from training.evidence.tripod import answer_checklist, read_form, tripod_report, write_form

    if form is not None and not tripod:
        raise click.UsageError("--form is for --tripod; add it")
    served = find_model(model)
    if not tripod:
        click.echo(served.model.card, nl=False)
        return
    if form is not None and not form.exists():
        write_form(form)
        click.echo(f"wrote {form}: fill it in, and run this again", err=True)
    name = f"{served.name}/{served.version}" if served.version else served.name
    click.echo(tripod_report(name, answer_checklist(served, read_form(form) if form else {})), nl=False)


@click.command(epilog=MODEL)
@click.argument("model")
@click.argument("source", metavar="COHORT_FILE_OR_FOLDER")
@landmark_options
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="A .parquet, .csv or .arrows file; of a folder, a new folder.")  # fmt: skip
@click.option("--by-visit", is_flag=True,
              help="Predict at each visit of a cohort, by the model of the latest landmark by then.")  # fmt: skip
@click.option("--dask", metavar="local|SCHEDULER",
              help="Predict the parts of a folder on a Dask cluster, as in 'taxokine train'.")  # fmt: skip
def predict(
    model: str, source: str, out: Path, *, by_visit: bool, dask: str | None, **landmark: Unpack[LandmarkOptions]
) -> None:
    """Predict many patients: those of a cohort, or of a file with a row for each, or of a folder of Parquet files.

    \u0008
    taxokine predict objective_response mine.yaml --out predictions.csv
    taxokine predict toxicity_any@candidate patients.parquet --out predictions.parquet
    taxokine predict toxicity_any mine.yaml --by-visit --out visits.csv
    taxokine predict toxicity_any parts/ --out predictions/ --dask local

    With --by-visit, MODEL is an outcome, and each row says which landmark's model predicts, and why. A file is one of
    'taxokine features', or has the columns patient, taxa:NAME, 'immune:NAME [unit]', clinical:NAME. A row that cannot
    be read has its error in the column 'error', and the others their predictions. Each .parquet file of a folder is
    predicted into a file of the same name.
    """
    from features.landmark import LandmarkSpec
    from taxokine.batch import write_predictions, write_visit_predictions
    from taxokine.part_batch import write_part_predictions
    from taxokine.reports.predictions import batch_report
    from taxokine.terminal import bars, show

    if (is_parts := Path(source).is_dir()) and by_visit:
        raise click.UsageError("--by-visit is for a cohort; leave it out for a folder of files")
    if dask is not None and not is_parts:
        raise click.UsageError("--dask is for a folder of .parquet files, one a task; name a folder, or leave it out")
    if is_parts:
        with _opened_workers(1, dask) as workers:
            predictions = write_part_predictions(model, Path(source), out, workers, bars())
    elif by_visit:
        predictions = write_visit_predictions(model, source, out)
    else:
        predictions = write_predictions(model, source, out, LandmarkSpec(**landmark))
    show(batch_report(predictions))


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Open the MLflow UI on the store that MLFLOW_TRACKING_URI names, on this machine only."""
    from taxokine.ui import comparison_addresses, registry_addresses, ui_command

    command, address = ui_command(port), f"http://127.0.0.1:{port}"
    for name, comparison in comparison_addresses(address).items():
        click.echo(f"compare {name}: {comparison}")
    for name, versions in registry_addresses(address).items():
        click.echo(f"registered versions of {name}: {versions}")
    sys.stdout.flush()
    os.execv(command[0], command)
