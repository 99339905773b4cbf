"""Time-to-event experiments: which families and blocks rank patients by when their event comes, and by how much.

These models are compared and reported, never registered: the service answers chances, not times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from features.cohort import Cohort
from features.errors import InputError, OutcomeError
from features.feature_table import FeatureTable
from features.outcomes import MONTH
from features.survival import (
    CENSORED_AT,
    DEATH,
    EVENT,
    CensoredAt,
    survival_definition,
    survival_exclusion_reason,
    survival_id,
    time_to_event,
)
from models.encoder import BlockEncoder
from training import tracking
from training.drawing import COLOURS, STYLE, WIDTH, written
from training.experiment import (
    COMPARABLE,
    Experiment,
    audited,
    cohorts_of,
    joined_table,
    refuse_unknown,
    tags_of,
    write_inputs,
)
from training.progress import Progress
from training.statistics.cumulative_incidence import cumulative_incidence, cumulative_incidence_at
from training.statistics.metrics import Estimate, bootstrap_weights, mean_within_cohorts, percentile_interval
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.validation.folds import centres, loco_groups, outer_folds
from training.validation.held_out_times import (
    HORIZONS,
    SurvivalFitConfig,
    SurvivalHeldOut,
    early_events,
    validate_survival,
)
from training.validation.survival_scores import RepeatPredictions, predictions_by_repeat, survival_scores

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

FEWEST = 10
"""Events below which a set of blocks is not trained on."""
UNUSED: Mapping[str, str] = {
    "families": f"time to event has families of its own, {' and '.join(SURVIVAL_FAMILIES)}, and all are fitted",
    "by_day": "every event counts at its time",
    "pool_labels": "dates are no labels",
    "permutations": "nothing is refitted to permuted outcomes, and nothing promoted",
}
"""What of an experiment would change nothing here, and why."""


@dataclass(frozen=True)
class SurvivalTrained:
    """One family on one set of blocks, validated and logged.

    Attributes
    ----------
    patients, events : int
    scheme : {"loco", "cv"}
        Cohorts, or centres of the one cohort, left out in turn; else patients left out.
    metrics : dict of str to Estimate
        `loco_c`, `cv_auroc_12m` and so on, of the mean over cohorts.
    per_cohort : pandas.DataFrame
        The same for each cohort by itself, of `scheme`, with `cohort`, `patients`, `events`.
    sentence : str
        What its evidence is, in words.
    """

    family: str
    blocks: tuple[str, ...]
    run_id: str
    patients: int
    events: int
    scheme: str
    metrics: dict[str, Estimate]
    per_cohort: pd.DataFrame
    sentence: str

    @property
    def concordance(self) -> Estimate:
        """Harrell's C where it was left out."""
        return self.metrics[f"{self.scheme}_c"]


@dataclass(frozen=True)
class SurvivalResult:
    """What a time-to-event experiment left behind.

    Attributes
    ----------
    outcome : str
        As `features.survival.survival_id` returns it.
    run_id : str
        The parent run.
    trained : list of SurvivalTrained
        The best first.
    incidence : pandas.DataFrame
        Cumulative incidence of the event by each of `HORIZONS`, with its interval; for toxicity with and without
        censoring at progression and at the end of treatment.
    notes : tuple of str
        What a reader must know of the data.
    """

    outcome: str
    run_id: str
    trained: list[SurvivalTrained]
    incidence: pd.DataFrame
    notes: tuple[str, ...]


def train_survival(experiment: Experiment, progress: Progress) -> SurvivalResult:
    """Validate and log every time-to-event family on every set of blocks; nothing is registered for serving.

    Raises
    ------
    OutcomeError
        A cohort does not date the outcome, or too few patients have it.
    AuditError
        The audit found an error that was not waived.
    InputError, DataMissing
        Something of `UNUSED` or several representations are asked for, or as `features.cohort.read_cohort` raises them.
    """
    outcome = survival_id(experiment.outcome, experiment.grade)
    refuse_unused(experiment)
    refuse_unknown(experiment.waive)
    cohorts = cohorts_of(experiment, progress)
    refuse_undated(cohorts, outcome)
    progress.begin("joining and auditing", 1)
    joined = joined_table(cohorts, experiment)
    table, y, excluded = at_risk(cohorts, joined, outcome)
    findings = audited(cohorts, table, outcome, experiment.waive)
    progress.advance()
    sets, skipped = block_sets(table, y, outcome, experiment.blocks)
    notes = (*table.notes, *excluded, *skipped, "compared and reported, not registered: the service answers chances")
    tried = len(sets) * len(SURVIVAL_FAMILIES)
    tags = tags_of(experiment, cohorts, outcome, tried, (f"**{outcome}**: {survival_definition(outcome)}", *notes))
    name = " + ".join(cohort.name for cohort in cohorts)
    used = {name: value for name, value in experiment.params().items() if name not in UNUSED}
    params = {**used, "outcome": outcome, "families": ",".join(SURVIVAL_FAMILIES)}
    with tracking.experiment_run(outcome, name, tags, params) as parent, tempfile.TemporaryDirectory() as scratch:
        tracking.log_table(table, outcome, y)
        trained: list[SurvivalTrained] = []
        for blocks in sets:
            complete = np.logical_and.reduce([table.block(block).measured_rows for block in blocks])
            trained += _train_blocks(experiment, outcome, table.take(complete), y[complete], blocks, tried, progress)
        # A set of blocks that few patients have is judged on other patients; its C does not compare.
        most = max(one.patients for one in trained)
        trained.sort(key=lambda one: (one.patients >= COMPARABLE * most, one.concordance.value), reverse=True)
        curves = {
            words: at_risk(cohorts, joined, outcome, censored_at)[:2]
            for words, censored_at in _ways_to_censor(cohorts, outcome)
        }
        incidence = _incidence(curves)
        folder = Path(scratch)
        write_inputs(folder, cohorts, findings)
        comparison(trained).to_csv(folder / "comparison.csv", index=False)
        incidence.to_csv(folder / "cumulative_incidence.csv", index=False)
        title = f"{outcome}{' (simulated)' if table.simulated else ''}, {len(table)} patients at risk at the landmark"
        write_incidence(folder, "cumulative_incidence", title, {words: y for words, (_, y) in curves.items()})
        tracking.log_folder(parent, folder)
        tracking.log_metrics(parent, {"patients": len(table), "events": float((y[:, 1] == EVENT).sum())})
    return SurvivalResult(outcome, parent, trained, incidence, notes)


def refuse_unused(experiment: Experiment) -> None:
    """Refuse what was asked for and would change nothing, so that no run says that it did."""
    for field in fields(experiment):
        if field.name in UNUSED and getattr(experiment, field.name) != field.default:
            option = f"--{field.name.replace('_', '-')}"
            why = UNUSED[field.name]
            raise InputError(f"{experiment.outcome}: {option} changes nothing, since {why}; leave it out")
    if len(experiment.representation) > 1:
        raise InputError("time-to-event models take one representation of the taxa; name one")


def refuse_undated(cohorts: Sequence[Cohort], outcome: str) -> None:
    """Refuse cohorts that do not date the outcome, each with its reason."""
    reasons = [why for cohort in cohorts if (why := survival_exclusion_reason(cohort.manifest, cohort.labels, outcome))]
    if reasons:
        raise OutcomeError(
            f"{outcome} ({survival_definition(outcome)}) is not dated in every cohort: {'; '.join(reasons)}"
        )


def at_risk(
    cohorts: Sequence[Cohort], table: FeatureTable, outcome: str, censored_at: CensoredAt | None = None
) -> tuple[FeatureTable, Matrix, list[str]]:
    """Return the rows at risk at the landmark, their times and ends, (n_rows, 2), and how many were left out."""
    y, kept, notes = np.empty((len(table), 2)), np.zeros(len(table), dtype=bool), []
    for cohort in cohorts:
        mine = (table.rows["cohort"] == cohort.name).to_numpy()
        patients, landmark = pd.Index(table.rows["patient"][mine]), table.cohorts[cohort.name].landmark
        found = time_to_event(cohort.labels, outcome, patients, landmark, censored_at)
        y[mine], kept[mine] = found[["time", "event"]], found["at_risk"] == "yes"
        over, unknown = ((found["at_risk"] == why).sum() for why in ("no", "unknown"))
        notes.append(
            f"{cohort.name}: {mine.sum()} patients with stool; left out: {unknown} with unknown times, {over} whose "
            "time ended on or before the landmark"
        )
    return table.take(kept), y[kept], notes


def block_sets(
    table: FeatureTable, y: Matrix, outcome: str, blocks: Sequence[str]
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the sets of blocks with enough events among those who have all of them, and why others are skipped."""
    sets, skipped = [], []
    for chosen in (some for size in range(1, len(blocks) + 1) for some in combinations(blocks, size)):
        complete = np.logical_and.reduce([table.block(block).measured_rows for block in chosen])
        events = int((y[complete, 1] == EVENT).sum())
        if events >= FEWEST:
            sets.append(chosen)
        else:
            skipped.append(f"{'+'.join(chosen)}: not trained, {events} events; at least {FEWEST} are needed")
    if not sets:
        raise OutcomeError(f"{outcome}: too few events to train on. {'; '.join(skipped)}")
    return sets, skipped


def comparison(trained: Sequence[SurvivalTrained]) -> pd.DataFrame:
    """Return the models as a table, in their order: every metric with its interval."""
    return pd.DataFrame(
        [
            {
                "family": one.family,
                "blocks": "+".join(one.blocks),
                "patients": one.patients,
                "events": one.events,
                **_flat(one.metrics),
                "run_id": one.run_id,
            }
            for one in trained
        ]
    )


def write_incidence(folder: Path, name: str, title: str, curves: Mapping[str, Matrix]) -> None:
    """Write cumulative incidence over time, with 95% bootstrap bands, as PNG and SVG.

    Parameters
    ----------
    folder : Path
    name, title : str
        Of the files, without suffix; of the figure.
    curves : mapping of str to ndarray, (n_samples, 2)
        Times and ends by label. Where patients die before the event, their share is drawn as well, dashed.
    """
    with mpl.rc_context(STYLE):
        written(folder, name, _incidence_figure(title, curves))


def _incidence_figure(title: str, curves: Mapping[str, Matrix]) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    # Curves may coincide: each is thinner than the one that it is drawn upon.
    for (label, y), colour, width in zip(curves.items(), COLOURS, (3, 2, 1), strict=False):
        draws = bootstrap_weights(np.full(len(y), label, dtype=object))
        (days, incidence), (_, drawn) = cumulative_incidence(y), cumulative_incidence(y, draws)
        low, high = np.quantile(drawn[0], [0.025, 0.975], axis=0)
        (event, death), months = incidence[:, 0], np.append(0, days / MONTH)
        shown = f"{label}: {(y[:, 1] == EVENT).sum()} events, n={len(y)}"
        axes.step(months, np.append(0, event), where="post", color=colour, linewidth=width, label=shown)
        axes.fill_between(months[1:], low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        if death.any():
            axes.step(months, np.append(0, death), where="post", color=colour, linewidth=width / 2, linestyle="--")
    axes.set(xlim=(0, None), ylim=(0, 1), xlabel="months from the landmark", ylabel="cumulative incidence")
    compete = any((y[:, 1] == DEATH).any() for y in curves.values())
    axes.set_title(f"{title}\ndashed: death before it" if compete else title, loc="left")
    axes.legend(loc="upper left")
    return figure


def _train_blocks(
    experiment: Experiment,
    outcome: str,
    table: FeatureTable,
    y: Matrix,
    blocks: tuple[str, ...],
    tried: int,
    progress: Progress,
) -> list[SurvivalTrained]:
    """Validate and log every family on one set of blocks, one child run each."""
    outer = outer_folds(table, early_events(y), experiment.n_folds, experiment.repeats, experiment.seed)
    progress.begin(f"{'+'.join(blocks)}: validating on {len(table)} patients", len(outer))
    (representation,) = experiment.representation
    encoder = BlockEncoder(blocks, representation, experiment.min_prevalence, experiment.censored)
    config = SurvivalFitConfig((encoder,), experiment.n_folds, experiment.seed)
    left_out = validate_survival(table, y, config, outer, workers=experiment.workers, on_step=progress.advance)
    return [_log(outcome, table, y, family, blocks, mine, tried) for family, mine in left_out.items()]


def _log(
    outcome: str,
    table: FeatureTable,
    y: Matrix,
    family: str,
    blocks: tuple[str, ...],
    left_out: Sequence[SurvivalHeldOut],
    tried: int,
) -> SurvivalTrained:
    names, joined, events = centres(table.rows), "+".join(blocks), y[:, 1] == EVENT
    schemes = {
        scheme: predictions_by_repeat([one for one in left_out if one.fold.scheme == scheme])
        for scheme in dict.fromkeys(one.fold.scheme for one in left_out)
    }
    metrics = {
        f"{scheme}_{name}": value
        for scheme, of in schemes.items()
        for name, value in survival_scores(y, names, of).items()
    }
    scheme = "loco" if "loco" in schemes else "cv"
    repeats = schemes[scheme]
    per_cohort = pd.DataFrame(
        [
            {
                "cohort": name,
                "patients": int((names == name).sum()),
                "events": int(events[names == name].sum()),
                **_flat(survival_scores(y, names, [one.take(names[one.rows] == name) for one in repeats])),
            }
            for name in dict.fromkeys(names[repeats[0].rows].tolist())
        ]
    )
    sentence = _sentence(table, metrics[f"{scheme}_c"], scheme, int(events.sum()), tried)
    tags = {
        "outcome": outcome,
        "family": family,
        "blocks": joined,
        "simulated": str(table.simulated).lower(),
        "evidence": sentence,
        "mlflow.note.content": f"{sentence}\n\nNot registered: the service answers chances, not times.",
    }
    params = {"family": family, "blocks": joined}
    title = f"{outcome}, {family} · {joined}{' (simulated)' if table.simulated else ''}"
    with tracking.child_run(f"{family} · {joined}", tags, params) as run_id, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tracking.log_table(table, outcome, y)
        headline = _flat({**metrics, "c": metrics[f"{scheme}_c"]})
        tracking.log_metrics(run_id, {"patients": len(table), "events": float(events.sum()), **headline})
        per_cohort.to_csv(folder / "per_cohort.csv", index=False)
        _left_out_rows(table, y, names, repeats).to_parquet(folder / "left_out_predictions.parquet", index=False)
        chosen = [{"scheme": one.fold.scheme, "fold": one.fold.name, **one.setting} for one in left_out]
        pd.DataFrame(chosen).to_csv(folder / "settings.csv", index=False)
        first = repeats[0]
        thirds = _thirds(first.margin, names[first.rows])
        risk = {
            of: y[first.rows[thirds == k]] for k, of in enumerate(("lowest third", "middle third", "highest third"))
        }
        write_incidence(folder, "incidence_by_risk", f"{title}, left-out risk", risk)
        tracking.log_folder(run_id, folder)
    return SurvivalTrained(family, blocks, run_id, len(table), int(events.sum()), scheme, metrics, per_cohort, sentence)


def _left_out_rows(
    table: FeatureTable, y: Matrix, names: NDArray[np.object_], repeats: Sequence[RepeatPredictions]
) -> pd.DataFrame:
    masked = np.array(tracking.masked_patients(table))
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "patient": masked[one.rows],
                    "cohort": names[one.rows],
                    "repeat": repeat,
                    "days": y[one.rows, 0],
                    "event": y[one.rows, 1],
                    "margin": one.margin,
                    **{f"risk_{months}m": one.risk[:, k] for k, months in enumerate(HORIZONS)},
                }
            )
            for repeat, one in enumerate(repeats)
        ],
        ignore_index=True,
    )


def _thirds(margin: Vector, names: NDArray[np.object_]) -> NDArray[np.intp]:
    """Return each row's third of its cohort's log-hazards, 0 to 2, (n_rows,)."""
    rank = pd.Series(margin).groupby(names).rank(method="first", pct=True).to_numpy()
    return np.ceil(3 * rank).astype(np.intp) - 1


def _ways_to_censor(cohorts: Sequence[Cohort], outcome: str) -> list[tuple[str, CensoredAt | None]]:
    """Return the ways to show an outcome's incidence that every cohort's dates allow, each with its words."""
    if not outcome.startswith("time_to_toxicity"):
        return [(outcome, None)]
    dated = set.intersection(*(set(cohort.labels.dates) for cohort in cohorts if cohort.labels.dates is not None))
    words = {"progression": "censored at progression", "treatment_end": "censored at the end of treatment"}
    return [("at risk until death", None), *((words[at], at) for at, day in CENSORED_AT.items() if day in dated)]


def _incidence(curves: Mapping[str, tuple[FeatureTable, Matrix]]) -> pd.DataFrame:
    """Return the cumulative incidence by each horizon, the mean over cohorts with its interval."""
    found = []
    for words, (table, y) in curves.items():
        names, none = centres(table.rows), np.zeros(len(y))
        weights = bootstrap_weights(names)
        for months in HORIZONS:
            metric = partial(cumulative_incidence_at, day=months * MONTH)
            value, drawn = (mean_within_cohorts(metric, y, none, names, of) for of in (None, weights))
            about = {"censoring": words, "months": months, "patients": len(y), "events": int((y[:, 1] == EVENT).sum())}
            deaths = {"deaths_before": int((y[:, 1] == DEATH).sum())}
            found.append({**about, **deaths, **_flat({"incidence": percentile_interval(value[0], drawn)})})
    return pd.DataFrame(found)


def _flat(metrics: Mapping[str, Estimate]) -> dict[str, float]:
    each = ((name, (found.value, found.low, found.high)) for name, found in metrics.items())
    return {
        f"{name}{end}": value for name, found in each for end, value in zip(("", "_low", "_high"), found, strict=True)
    }


def _sentence(table: FeatureTable, found: Estimate, scheme: str, events: int, tried: int) -> str:
    what = "cohort" if table.rows["cohort"].nunique() > 1 else "centre"
    seen = f"on {what}s it had not seen" if scheme == "loco" else "on patients of its own cohort that it had not seen"
    n = len(set(loco_groups(table.rows)))
    groups = f"{n} {what}{'s' if n != 1 else ''}"
    if not np.isfinite(found.value):
        return f"how this model ranks times {seen} could not be measured ({groups}, {len(table)} patients)"
    numbers = (
        f"Harrell's C {found.value:.2f}, {found.low:.2f}-{found.high:.2f}; {groups}, {len(table)} patients, "
        f"{events} events"
    )
    simulated = "simulated data: " if table.simulated else ""
    if not found.low > 0.5:
        return f"{simulated}{seen} this model ranked times no better than chance ({numbers})"
    return (
        f"{simulated}{seen} this model ranked times better than chance by an interval that leaves out what refitting "
        f"adds ({numbers}), as one of {tried} models tried: not confirmed"
    )
