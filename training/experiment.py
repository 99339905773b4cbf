"""One experiment, from cohorts to registered models. `train` reads top to bottom."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.audit import KINDS, audit
from features.cohort import Cohort, read_cohort
from features.columns import BLOCKS
from features.errors import AuditError, InputError, OutcomeError
from features.feature_table import FeatureTable
from features.landmark import DEFAULT_WINDOW, LandmarkSpec, landmark_table
from features.manifest import manifest_digest, manifest_text_without_sample_names
from features.measured_values import CensoredPolicy
from features.outcomes import definition_of, exclusion_reason, outcome_id
from features.pooling import pool_tables
from features.settings import settings
from models.bundle import Model
from models.calibration import fit_venn_abers
from models.encoder import Representation
from models.evidence_upgrade import upgrade_evidence, upgrade_validation
from models.families import FAMILIES
from models.reference import fit_reference_set
from models.registry import log_bundle, register
from training import tracking
from training.evidence.aggregates import known_outcomes
from training.evidence.card import card_html, model_card
from training.evidence.evidence import (
    Circumstances,
    Evidence,
    evidence_of,
    left_out_predictions,
    main_scheme,
    run_metrics,
    scores,
)
from training.evidence.figures import write_figures
from training.progress import Progress
from training.validation.baselines import validate_baselines
from training.validation.config import FitConfig
from training.validation.folds import Fold, centres, outcome_vector, outer_folds
from training.validation.held_out import HeldOut, ValidatedFamily, validate
from training.validation.permutation_null import NullDistributions, best_model_null, permutation_nulls
from training.validation.refit import Fit

FEWEST = 10
"""Rows of each class below which a set of blocks is not trained on."""
COMPARABLE = 0.8
"""A set of blocks that a smaller share of the patients has is judged on other patients; its AUROC does not compare."""


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
        As in `features.landmark.LandmarkSpec`.
    representation : tuple of str
        What may become of the taxa, as `models.encoder.BlockEncoder` takes it; of several, inner validation chooses.
    min_prevalence : float
        As `models.encoder.BlockEncoder` takes it.
    pool_labels : bool
        Whether published labels of different meaning may be pooled.
    waive : tuple of str
        Codes of the audit's errors to train in spite of.
    n_folds, repeats, seed : int
        Folds by patient; how often all of validation is repeated, each time with a seed of its own; the first seed.
    permutations : int
        How often the pipeline is refitted to permuted outcomes.
    workers : int
        Threads, -1 for one a core; the results are the same whatever their number.
    """

    cohorts: tuple[str, ...]
    outcome: str
    grade: str | None = None
    families: tuple[str, ...] = tuple(FAMILIES)
    blocks: tuple[str, ...] = BLOCKS
    landmark: float = 0.0
    window: float = DEFAULT_WINDOW
    by_day: float | None = None
    sample: Literal["first", "last"] = "last"
    censored: CensoredPolicy = "half_limit"
    representation: tuple[Representation, ...] = ("clr",)
    min_prevalence: float = 0.1
    pool_labels: bool = False
    waive: tuple[str, ...] = ()
    n_folds: int = 5
    repeats: int = 2
    seed: int = 0
    permutations: int = 0
    workers: int = -1

    def params(self) -> dict[str, Any]:
        """Return the parameters as MLflow shows them."""
        said = asdict(self)
        del said["workers"]
        joined = {name: ",".join(value) for name, value in said.items() if isinstance(value, tuple)}
        return {**said, **joined, "grade": self.grade or ""}

    def plan(self, blocks: tuple[str, ...]) -> FitConfig:
        """Return what is fitted to one set of blocks."""
        return FitConfig(
            self.families, blocks, self.representation, self.min_prevalence, self.censored, self.n_folds, self.seed
        )

    def folds(self, table: FeatureTable, y: NDArray[np.float64]) -> list[Fold]:
        """Return the outer folds."""
        return outer_folds(table, y, self.n_folds, self.repeats, self.seed)

    def first_folds(self, table: FeatureTable, y: NDArray[np.float64]) -> list[Fold]:
        """Return the folds of the first seed that evidence rests on, which permuted outcomes are refitted in."""
        outer = outer_folds(table, y, self.n_folds, 1, self.seed)
        return [fold for fold in outer if fold.scheme == main_scheme(outer)]


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
class Block:
    """One set of blocks, validated: its rows, and what every family and every baseline said of them left out."""

    plan: FitConfig
    rows: NDArray[np.intp]
    table: FeatureTable
    y: NDArray[np.float64]
    found: dict[str, ValidatedFamily]
    beside: dict[str, list[HeldOut]]


def train(experiment: Experiment, progress: Progress | None = None) -> Result:
    """Audit the data; validate, fit, log and register every family on every set of blocks.

    Raises
    ------
    OutcomeError
        A cohort does not define the outcome as asked, labels would be pooled without leave, or too few patients are
        left.
    AuditError
        The audit found an error that was not waived.
    InputError, DataMissing
        As `features.cohort.read_cohort` raises them.
    """
    progress = progress or Progress()
    outcome = outcome_id(experiment.outcome, experiment.grade)
    refuse_unknown(experiment.waive)

    cohorts = cohorts_of(experiment, progress)
    refuse_undefined(cohorts, outcome)
    refuse_pooling(cohorts, outcome, experiment.pool_labels)
    progress.begin("joining and auditing", 1)
    table, excluded = eligible(joined_table(cohorts, experiment), outcome)
    findings = audited(cohorts, table, outcome, experiment.waive)
    progress.advance()
    sets, skipped = block_sets(table, outcome, experiment.blocks)
    notes = (*table.notes, *excluded, *skipped)
    tried = len(sets) * len(experiment.families)
    tags = tags_of(experiment, cohorts, outcome, tried, (f"**{outcome}**: {definition_of(outcome)}", *notes))
    name = " + ".join(cohort.name for cohort in cohorts)
    around = Circumstances(
        outcome,
        tried,
        experiment.pool_labels,
        notes,
        findings,
        tracking.looks(cohort.name for cohort in cohorts),
        experiment.seed,
    )
    with tracking.experiment_run(outcome, name, tags, experiment.params()) as parent:
        tracking.log_table(table, outcome, outcome_vector(table, outcome))
        validated = [validate_blocks(experiment, outcome, table, blocks, progress) for blocks in sets]
        null = permuted_nulls(experiment, outcome, table, validated, progress)
        trained: list[Trained] = []
        progress.begin("summing up and logging", around.tried)
        for one in validated:
            for family in experiment.families:
                trained.append(log_family(one, family, null.get((family, one.plan.blocks)), around))
                progress.advance()
        trained = ranked(trained)
        best = {one.blocks: one for one in reversed(trained)}
        aliases = register(
            outcome,
            [(one.model_uri, one.run_id, version_tags(one)) for one in trained if best[one.blocks] is one],
        )
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(Path(folder), cohorts, findings)
            comparison(trained).to_csv(Path(folder) / "comparison.csv", index=False)
            tracking.log_folder(parent, Path(folder))
        counts = {severity: sum(one["severity"] == severity for one in findings) for severity in ("error", "warning")}
        tracking.log_metrics(
            parent,
            {
                "patients": len(table),
                "events": float(table.rows[outcome].sum()),
                **{f"audit_{severity}s": float(count) for severity, count in counts.items()},
            },
        )
    patients = set(zip(table.rows["cohort"], table.rows["patient"], strict=True))
    return Result(outcome, parent, trained, aliases, notes, patients)


def cohorts_of(experiment: Experiment, progress: Progress) -> list[Cohort]:
    """Read an experiment's cohorts."""
    progress.begin("reading cohorts", len(experiment.cohorts))
    cohorts = []
    for name in experiment.cohorts:
        cohorts.append(read_cohort(name, settings().data))
        progress.advance()
    return cohorts


def tags_of(
    experiment: Experiment, cohorts: Sequence[Cohort], outcome: str, tried: int, notes: Sequence[str]
) -> dict[str, str]:
    """Return the tags of an experiment's run, in which so many models are tried."""
    tags = {
        "outcome": outcome,
        "cohorts": ",".join(cohort.name for cohort in cohorts),
        "models": str(tried),
        "simulated": str(any(cohort.manifest.simulated for cohort in cohorts)).lower(),
        "manifests": ", ".join(f"{cohort.name} {manifest_digest(cohort.manifest)}" for cohort in cohorts),
        "taxokine.version": version("taxokine"),
        "mlflow.note.content": "\n\n".join(notes),
    }
    if experiment.pool_labels:
        tags["pooled_labels"] = "true"
    if experiment.waive:
        tags["waived"] = ",".join(experiment.waive)
    return tags


def write_inputs(folder: Path, cohorts: Sequence[Cohort], findings: Sequence[dict[str, Any]]) -> None:
    """Write what an experiment was given: manifests without names of samples, and what the audit found."""
    for cohort in cohorts:
        (folder / f"{cohort.name}.yaml").write_text(
            manifest_text_without_sample_names(cohort.manifest), encoding="utf-8"
        )
    (folder / "audit.json").write_text(json.dumps(findings, indent=1), encoding="utf-8")


def refuse_unknown(waive: Sequence[str]) -> None:
    """Refuse to waive what is no finding of the audit."""
    for code in waive:
        if code not in KINDS:
            raise InputError(f"{code!r} is no finding of the audit; known are {', '.join(KINDS)}")


def audited(
    cohorts: Sequence[Cohort], table: FeatureTable, outcome: str, waive: Sequence[str]
) -> tuple[dict[str, Any], ...]:
    """Return the audit's findings, without names of patients or samples, and refuse errors that were not waived."""
    findings = audit(cohorts, table, outcome)
    errors = [one for one in findings if one.severity == "error" and one.code not in waive]
    if errors:
        listed = "; ".join(f"{one.code} in {one.cohort}: {one.description}" for one in errors)
        raise AuditError(
            f"the audit found what would make the result wrong: {listed}. 'taxokine cohorts check' shows the rows and "
            f"what to do; to train in spite of it, add --waive {','.join(dict.fromkeys(one.code for one in errors))}"
        )
    return tuple({**one.shareable, "waived": one.severity == "error"} for one in findings)


def refuse_undefined(cohorts: Sequence[Cohort], outcome: str) -> None:
    """Refuse cohorts that do not define the outcome, each with its reason."""
    reasons = [
        exclusion_reason(cohort.manifest, outcome)
        for cohort in cohorts
        if outcome not in cohort.labels.reported_outcomes
    ]
    if reasons:
        raise OutcomeError(
            f"{outcome} ({definition_of(outcome)}) is not defined for every cohort: {'; '.join(reasons)}"
        )


def refuse_pooling(cohorts: Sequence[Cohort], outcome: str, pool_labels: bool) -> None:
    """Refuse to pool published labels of different meaning unless told to."""
    if outcome == "published_response" and len(cohorts) > 1 and not pool_labels:
        raise OutcomeError(
            "published_response means something else in each cohort (some count stable disease, some do not); "
            "choose objective_response or disease_control, or add --pool-labels to pool them all the same"
        )


def joined_table(cohorts: Sequence[Cohort], experiment: Experiment) -> FeatureTable:
    """Join each cohort at the landmark, and pool them."""
    spec = LandmarkSpec(
        landmark=experiment.landmark,
        window=experiment.window,
        sample=experiment.sample,
        by_day=experiment.by_day,
        censored=experiment.censored,
    )
    return pool_tables([landmark_table(cohort, spec) for cohort in cohorts])


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
            measured = np.logical_and.reduce([table.block(block).measured_rows for block in chosen])
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


def validate_blocks(
    experiment: Experiment, outcome: str, table: FeatureTable, blocks: tuple[str, ...], progress: Progress
) -> Block:
    """Validate every family, and the baselines, on the rows that have all of a set of blocks, and fit to them all."""
    rows = np.flatnonzero(np.logical_and.reduce([table.block(block).measured_rows for block in blocks]))
    mine = present(table.take(rows))
    y, plan = outcome_vector(mine, outcome), experiment.plan(blocks)
    outer = experiment.folds(mine, y)
    found = validate(
        mine,
        y,
        plan,
        outer,
        refit=True,
        workers=experiment.workers,
        on_start=lambda jobs: progress.begin(f"{'+'.join(blocks)}: validating on {len(mine)} patients", jobs),
        on_step=progress.advance,
    )
    main = [fold for fold in outer if fold.scheme == main_scheme(outer)]
    return Block(plan, rows, mine, y, found, validate_baselines(mine, y, plan, main, experiment.workers))


def permuted_nulls(
    experiment: Experiment, outcome: str, table: FeatureTable, validated: Sequence[Block], progress: Progress
) -> dict[tuple[str, tuple[str, ...]], NullDistributions]:
    """Return each model's refitted null, and that of the best of all models that compare."""
    if not experiment.permutations:
        return {}
    progress.begin(f"refitting {experiment.permutations} permutations", experiment.permutations)
    found = permutation_nulls(
        table,
        outcome_vector(table, outcome),
        [(one.plan, one.rows) for one in validated],
        experiment.first_folds,
        n=experiment.permutations,
        seed=experiment.seed,
        workers=experiment.workers,
        on_step=progress.advance,
    )
    most = max(len(one.rows) for one in validated)
    comparable = {one.plan.blocks for one in validated if len(one.rows) >= COMPARABLE * most}
    competing = {name: values for name, values in found.items() if name[1] in comparable}
    best = best_model_null(competing)
    return {
        name: NullDistributions(
            values, best if name in competing else values, len(competing) if name in competing else 1
        )
        for name, values in found.items()
    }


def present(table: FeatureTable) -> FeatureTable:
    """Return the table without the mention of cohorts that have no row in it."""
    named = {name: context for name, context in table.cohorts.items() if (table.rows["cohort"] == name).any()}
    return replace(table, cohorts=named)


def log_family(one: Block, family: str, null: NullDistributions | None, around: Circumstances) -> Trained:
    """Log one family on one set of blocks: parameters, metrics, figures, predictions, card and model."""
    table, y, blocks, left_out = one.table, one.y, one.plan.blocks, one.found[family].held_out
    fitted = one.found[family].fit
    assert fitted is not None
    evidence = evidence_of(table, y, one.plan, family, left_out, fitted, one.beside, null, around)
    card = model_card(evidence.validation)
    tags = {
        "outcome": around.outcome,
        "family": family,
        "blocks": "+".join(blocks),
        "simulated": str(table.simulated).lower(),
        "evidence": evidence.content["sentence"],
        # MLflow keeps no more than so much of a note; the whole card is an artefact.
        "mlflow.note.content": "\n## ".join(card.split("\n## ")[:3])[:7900],
    }
    params = {"family": family, "blocks": "+".join(blocks), **fitted.setting, "features": len(fitted.encoder.features_)}
    with (
        tracking.child_run(f"{family} · {'+'.join(blocks)}", tags, params) as run_id,
        tempfile.TemporaryDirectory() as scratch,
    ):
        artefacts = Path(scratch)
        tracking.log_table(table, around.outcome, y)
        tracking.log_metrics(run_id, run_metrics(evidence))
        found = scores(table, y, left_out, evidence.scheme)
        figures = write_figures(
            artefacts,
            evidence.validation,
            y=found.y,
            margin=found.margin[0],
            probability=found.probability[0],
            cohorts=found.cohorts,
            null=None if null is None else null.values,
            best_null=None if null is None else null.best,
        )
        predictions = left_out_predictions(y, left_out)
        masked = pd.Series(tracking.masked_patients(table))
        predictions.insert(0, "patient", predictions["row"].map(masked))
        predictions.insert(1, "cohort", predictions["row"].map(dict(enumerate(centres(table.rows)))))
        predictions.drop(columns="row").to_parquet(artefacts / "left_out_predictions.parquet", index=False)
        page = card_html(card, figures)
        (artefacts / "card.md").write_text(card, encoding="utf-8")
        (artefacts / "card.html").write_text(page, encoding="utf-8")
        (artefacts / "validation.json").write_text(json.dumps(evidence.validation, indent=1), encoding="utf-8")
        tracking.log_folder(run_id, artefacts)
        model = served_model(one, family, fitted, evidence, card, page)
        uri = log_bundle(model)
    return Trained(family, blocks, run_id, uri, model, evidence)


def served_model(one: Block, family: str, fitted: Fit, evidence: Evidence, card: str, page: str) -> Model:
    """Return what a bundle keeps of one family on one set of blocks."""
    table, blocks, outcome = one.table, one.plan.blocks, evidence.validation["outcome"]
    summary = upgrade_evidence(evidence.content, outcome)
    calibration, reference = fitted.calibration, None
    if "taxa" in blocks:
        outcomes = known_outcomes(table, outcome)
        reference = fit_reference_set(table.taxa.values, table.taxa.names, centres(table.rows), outcomes)
    if len(fitted.y):
        calibration = replace(calibration, venn_abers=fit_venn_abers(fitted.margin, fitted.y))
    return Model(
        outcome=outcome,
        family=family,
        encoder=fitted.encoder,
        predictor=fitted.predictor,
        calibration=calibration,
        units={n: table.units[n] for n in fitted.encoder.names_.get("immune", ())},
        profilers=tuple(dict.fromkeys(cohort.profiler for cohort in table.cohorts.values() if cohort.profiler)),
        evidence=summary,
        card=card,
        reference=reference,
        validation=upgrade_validation(evidence.validation, summary, family),
        card_html=page,
    )


def ranked(trained: Sequence[Trained]) -> list[Trained]:
    """Return the models, the best first: those that compare (`COMPARABLE`) before others, then by left-out AUROC."""
    most = max(one.evidence.content["patients"] for one in trained)

    def merit(one: Trained) -> tuple[bool, float]:
        value = one.evidence.auroc.value
        return one.evidence.content["patients"] >= COMPARABLE * most, value if np.isfinite(value) else 0.0

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
