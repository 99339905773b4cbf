"""One experiment, from cohorts to registered models. `train` reads top to bottom."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.analytes import CensoredPolicy
from features.cohort import Cohort, read_cohort
from features.errors import OutcomeError
from features.landmark import BLOCKS, WINDOW, FeatureTable, landmark_table, pooled
from features.manifest import manifest_digest, manifest_text
from features.outcomes import meaning, outcome_id, refusal
from features.settings import settings
from models.bundle import Model
from models.encoder import BlockEncoder, Representation
from models.families import FAMILIES
from models.registry import log_bundle, register
from training import tracking
from training.card import model_card
from training.evidence import Evidence, evidence_of, left_out_predictions, run_metrics
from training.figures import write_figures
from training.validation import Fit, LeftOut, fit, folds, outcome_vector, validate

FEWEST = 10
"""Rows of each class below which a set of blocks is not trained on."""


@dataclass(frozen=True)
class Experiment:
    """What to train.

    Attributes
    ----------
    cohorts : tuple of str
        Manifests, by name or path.
    outcome, grade : str, str or None
        As `features.outcomes.outcome_id` takes them.
    families, blocks : tuple of str
        Each family is fitted to each set of the blocks.
    landmark, window, by_day, sample, censored
        As `features.landmark.landmark_table` takes them.
    representation, min_prevalence
        As `models.encoder.BlockEncoder` takes them.
    pool_labels : bool
        Whether published labels of different meaning may be pooled.
    n_folds, repeats, seed : int
    """

    cohorts: tuple[str, ...]
    outcome: str
    grade: str | None = None
    families: tuple[str, ...] = tuple(FAMILIES)
    blocks: tuple[str, ...] = BLOCKS
    landmark: float = 0.0
    window: float = WINDOW
    by_day: float | None = None
    sample: Literal["first", "last"] = "last"
    censored: CensoredPolicy = "half_limit"
    representation: Representation = "clr"
    min_prevalence: float = 0.1
    pool_labels: bool = False
    n_folds: int = 5
    repeats: int = 2
    seed: int = 0

    def params(self) -> dict[str, Any]:
        """Return the parameters as MLflow shows them."""
        joined = {
            "cohorts": ",".join(self.cohorts),
            "families": ",".join(self.families),
            "blocks": ",".join(self.blocks),
        }
        return {**asdict(self), **joined, "grade": self.grade or ""}


@dataclass(frozen=True)
class Trained:
    """One family on one set of blocks, validated, fitted and logged."""

    family: str
    blocks: tuple[str, ...]
    run_id: str
    model_uri: str
    model: Model
    evidence: Evidence


@dataclass(frozen=True)
class Result:
    """What an experiment left behind.

    Attributes
    ----------
    outcome : str
        The outcome's id, which is also the registered model's name.
    run_id : str
        The parent run.
    trained : list of Trained
        The best first.
    aliases : dict of str to str
        Registered versions by alias.
    notes : tuple of str
        What a reader must know of the data.
    patients : set of (cohort, patient)
        Whom the models learnt from.
    """

    outcome: str
    run_id: str
    trained: list[Trained]
    aliases: dict[str, str]
    notes: tuple[str, ...]
    patients: set[tuple[str, str]]


@dataclass(frozen=True)
class Progress:
    """Where an experiment says how far it is: `begin` takes a step's name and its number of parts."""

    begin: Callable[[str, int], object] = field(default=lambda name, parts: None)
    advance: Callable[[], object] = field(default=lambda: None)


def train(experiment: Experiment, progress: Progress | None = None) -> Result:
    """Validate, fit, log and register every family on every set of blocks.

    Raises
    ------
    OutcomeError
        A cohort does not define the outcome as asked, labels would be pooled without leave, or too few patients are
        left.
    InputError, DataMissing
        As `features.cohort.read_cohort` raises them.
    """
    progress = progress or Progress()
    outcome = outcome_id(experiment.outcome, experiment.grade)

    progress.begin("reading cohorts", len(experiment.cohorts))
    cohorts = []
    for name in experiment.cohorts:
        cohorts.append(read_cohort(name, settings().data))
        progress.advance()
    refuse_undefined(cohorts, outcome)
    refuse_pooling(cohorts, outcome, experiment.pool_labels)

    table, excluded = eligible(joined_table(cohorts, experiment), outcome)
    sets, skipped = block_sets(table, outcome, experiment.blocks)
    notes = (*table.notes, *excluded, *skipped)
    tags = {
        "outcome": outcome,
        "cohorts": ",".join(cohort.name for cohort in cohorts),
        "simulated": str(table.simulated).lower(),
        "manifests": ", ".join(f"{cohort.name} {manifest_digest(cohort.manifest)}" for cohort in cohorts),
        "taxokine.version": version("taxokine"),
        "mlflow.note.content": "\n\n".join([f"**{outcome}**: {meaning(outcome)}", *notes]),
    }
    if experiment.pool_labels:
        tags["pooled_labels"] = "true"
    name = " + ".join(cohort.name for cohort in cohorts)
    with tracking.experiment_run(outcome, name, tags, experiment.params()) as parent:
        tracking.log_table(table, outcome, outcome_vector(table, outcome))
        trained: list[Trained] = []
        for blocks in sets:
            trained += train_blocks(experiment, outcome, table, blocks, len(sets), notes, progress)
        trained = ranked(trained)
        best = {one.blocks: one for one in reversed(trained)}
        aliases = register(
            outcome,
            [(one.model_uri, one.run_id, version_tags(one)) for one in trained if best[one.blocks] is one],
        )
        with tempfile.TemporaryDirectory() as folder:
            for cohort in cohorts:
                (Path(folder) / f"{cohort.name}.yaml").write_text(manifest_text(cohort.manifest), encoding="utf-8")
            comparison(trained).to_csv(Path(folder) / "comparison.csv", index=False)
            tracking.log_folder(parent, Path(folder))
        tracking.log_metrics(parent, {"patients": len(table), "events": float(table.rows[outcome].sum())})
    patients = set(zip(table.rows["cohort"], table.rows["patient"], strict=True))
    return Result(outcome, parent, trained, aliases, notes, patients)


def refuse_undefined(cohorts: Sequence[Cohort], outcome: str) -> None:
    """Refuse cohorts that do not define the outcome, each with its reason."""
    reasons = [refusal(cohort.manifest, outcome) for cohort in cohorts if outcome not in cohort.labels.defined]
    if reasons:
        raise OutcomeError(f"{outcome} ({meaning(outcome)}) is not defined for every cohort: {'; '.join(reasons)}")


def refuse_pooling(cohorts: Sequence[Cohort], outcome: str, pool_labels: bool) -> None:
    """Refuse to pool published labels of different meaning unless told to."""
    if outcome == "published_response" and len(cohorts) > 1 and not pool_labels:
        raise OutcomeError(
            "published_response means something else in each cohort (some count stable disease, some do not); "
            "choose objective_response or disease_control, or add --pool-labels to pool them all the same"
        )


def joined_table(cohorts: Sequence[Cohort], experiment: Experiment) -> FeatureTable:
    """Join each cohort at the landmark, and pool them."""
    return pooled(
        [
            landmark_table(
                cohort,
                landmark=experiment.landmark,
                window=experiment.window,
                sample=experiment.sample,
                by_day=experiment.by_day,
                censored=experiment.censored,
            )
            for cohort in cohorts
        ]
    )


def eligible(table: FeatureTable, outcome: str) -> tuple[FeatureTable, list[str]]:
    """Leave out patients whose event is over or whose outcome is unknown, and count them by cohort."""
    label, at_risk = table.rows[outcome], table.rows[f"at_risk_{outcome}"]
    over = at_risk == "no"
    unknown = label.isna() & ~over
    notes = []
    for name in table.cohorts:
        mine = table.rows["cohort"] == name
        checkable = (at_risk[mine] != "not checkable").any()
        risk = f"{(over & mine).sum()} whose event was on or before the landmark" if checkable else (
            "events on or before the landmark not checkable"
        )  # fmt: skip
        notes.append(
            f"{name}: {mine.sum()} patients with stool; left out: {(unknown & mine).sum()} with unknown outcome, {risk}"
        )
    return table.take((~over & ~unknown).to_numpy(dtype=bool)), notes


def block_sets(table: FeatureTable, outcome: str, blocks: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the sets of blocks with enough patients who have all of them, and why others are skipped."""
    y = outcome_vector(table, outcome)
    sets, skipped = [], []
    for size in range(1, len(blocks) + 1):
        for chosen in combinations(blocks, size):
            measured = np.logical_and.reduce([table.block(block).measured for block in chosen])
            events, others = int(y[measured].sum()), int((1 - y[measured]).sum())
            if min(events, others) >= FEWEST:
                sets.append(chosen)
            else:
                skipped.append(
                    f"{'+'.join(chosen)}: not trained, {events} patients with the outcome and {others} without have "
                    f"all of it; at least {FEWEST} of each are needed"
                )
    if not sets:
        raise OutcomeError(f"{outcome}: too few patients to train on. {'; '.join(skipped)}")
    return sets, skipped


def train_blocks(
    experiment: Experiment,
    outcome: str,
    table: FeatureTable,
    blocks: tuple[str, ...],
    n_sets: int,
    notes: tuple[str, ...],
    progress: Progress,
) -> list[Trained]:
    """Train every family on one set of blocks, one child run each."""
    measured = np.logical_and.reduce([table.block(block).measured for block in blocks])
    table = present(table.take(measured))
    y = outcome_vector(table, outcome)
    encoder = BlockEncoder(blocks, experiment.representation, experiment.min_prevalence, experiment.censored)
    outer = folds(table, y, experiment.n_folds, experiment.repeats, experiment.seed)
    name = "+".join(blocks)
    progress.begin(f"{name}: validating on {len(table)} patients", len(outer))
    families = experiment.families
    inner: dict[str, Any] = {"n_folds": experiment.n_folds, "seed": experiment.seed}
    left_out = validate(table, y, encoder, families, outer, **inner, done=progress.advance)
    progress.begin(f"{name}: fitting and logging", len(families))
    fits = fit(table, y, encoder, families, **inner)
    found = []
    for family in families:
        evidence = evidence_of(
            table,
            outcome,
            y,
            left_out[family],
            tried=len(families) * n_sets,
            pooled_labels=experiment.pool_labels,
            notes=notes,
        )
        found.append(log_family(outcome, table, y, family, blocks, fits[family], left_out[family], evidence))
        progress.advance()
    return found


def present(table: FeatureTable) -> FeatureTable:
    """Return the table without the mention of cohorts that have no row in it."""
    named = {name: about for name, about in table.cohorts.items() if (table.rows["cohort"] == name).any()}
    return replace(table, cohorts=named)


def log_family(
    outcome: str,
    table: FeatureTable,
    y: NDArray[np.float64],
    family: str,
    blocks: tuple[str, ...],
    fitted: Fit,
    left_out: Sequence[LeftOut],
    evidence: Evidence,
) -> Trained:
    """Log one family on one set of blocks: parameters, metrics, figures, predictions, card and model."""
    name = f"{family} · {'+'.join(blocks)}"
    model = Model(
        outcome=outcome,
        family=family,
        encoder=fitted.encoder,
        predictor=fitted.predictor,
        calibration=fitted.calibration,
        units={n: table.units[n] for n in fitted.encoder.names_.get("immune", ())},
        profilers=tuple(dict.fromkeys(about["profiler"] for about in table.cohorts.values() if about["profiler"])),
        evidence=evidence.content,
        card=model_card(name, outcome, family, blocks, fitted, evidence.content),
    )
    tags = {
        "outcome": outcome,
        "family": family,
        "blocks": "+".join(blocks),
        "simulated": str(table.simulated).lower(),
        "evidence": evidence.content["sentence"],
        "mlflow.note.content": model.card,
    }
    params = {"family": family, "blocks": "+".join(blocks), **fitted.setting, "features": len(fitted.encoder.features_)}
    with tracking.child_run(name, tags, params) as run_id, tempfile.TemporaryDirectory() as scratch:
        artefacts = Path(scratch)
        tracking.log_table(table, outcome, y)
        tracking.log_metrics(run_id, run_metrics(table, y, left_out, evidence))
        predictions = left_out_predictions(y, left_out)
        shown = predictions[predictions["scheme"] == evidence.scheme].groupby("row")[["margin", "probability"]].mean()
        cohorts = table.rows["cohort"].to_numpy(dtype=object)
        write_figures(
            artefacts,
            title=f"{outcome}, {name}{' (simulated)' if table.simulated else ''}, {evidence.scheme_in_words}",
            y=y[shown.index],
            margin=shown["margin"].to_numpy(),
            probability=shown["probability"].to_numpy(),
            cohorts=cohorts[shown.index],
            estimate=evidence.auroc,
            encoder=fitted.encoder,
            predictor=fitted.predictor,
            X=fitted.encoder.transform(table),
        )
        masked = pd.Series(tracking.masked_patients(table))
        predictions.insert(0, "patient", predictions["row"].map(masked))
        predictions.insert(1, "cohort", predictions["row"].map(dict(enumerate(cohorts))))
        predictions.drop(columns="row").to_parquet(artefacts / "left_out_predictions.parquet", index=False)
        (artefacts / "card.md").write_text(model.card, encoding="utf-8")
        tracking.log_folder(run_id, artefacts)
        uri = log_bundle(model)
    return Trained(family, blocks, run_id, uri, model, evidence)


def ranked(trained: Sequence[Trained]) -> list[Trained]:
    """Return the models, the best first: those of most patients before others, then by left-out AUROC.

    A set of blocks that few patients have is judged on other patients; its AUROC does not compare.
    """
    most = max(one.evidence.content["patients"] for one in trained)

    def merit(one: Trained) -> tuple[bool, float]:
        value = one.evidence.auroc.value
        return one.evidence.content["patients"] >= 0.8 * most, value if np.isfinite(value) else 0.0

    return sorted(trained, key=merit, reverse=True)


def comparison(trained: Sequence[Trained]) -> pd.DataFrame:
    """Return the experiment's models as a table, the best first."""
    return pd.DataFrame(
        [
            {
                "family": one.family,
                "blocks": "+".join(one.blocks),
                "patients": one.evidence.content["patients"],
                "events": one.evidence.content["events"],
                **one.evidence.headline(),
                "run_id": one.run_id,
            }
            for one in trained
        ]
    )


def version_tags(one: Trained) -> dict[str, str]:
    """Return the tags of a registered version."""
    return {
        "family": one.family,
        "blocks": "+".join(one.blocks),
        "simulated": str(one.model.simulated).lower(),
        "left_out_auroc": f"{one.evidence.auroc.value:.3f}",
        "evidence": one.evidence.content["sentence"],
    }
