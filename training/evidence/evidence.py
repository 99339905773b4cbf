"""Evidence: how a model did on rows it had not seen, as numbers and in words."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.columns import Column
from features.feature_table import CohortContext, FeatureTable
from features.outcomes import definition_of
from features.transforms import genus_of
from models.calibration import fit_venn_abers
from models.reference import VERDICTS, fit_reference_set, profile_verdicts
from training.evidence.aggregates import by_answer, distributions, odds_ratios, rates, together
from training.evidence.card import preparation
from training.statistics.auroc_meta_analysis import auroc_random_effects, cohort_aurocs
from training.statistics.calibration import brier_skill, calibration_by_cohort, calibration_slope
from training.statistics.conformal import conformal_coverage, conformal_p
from training.statistics.decision import decision_curves
from training.statistics.gain import auroc_gain
from training.statistics.metrics import Estimate, auprc, auroc, bootstrap_interval, brier_score, mean_over_seeds
from training.statistics.sample_size import detectable_difference, development_size, r2_of_auroc
from training.statistics.venn_abers import range_coverage
from training.validation.baselines import COVARIATE_BLOCKS
from training.validation.config import FitConfig
from training.validation.fold_attributions import fold_attributions
from training.validation.folds import Fold, centres
from training.validation.held_out import HeldOut
from training.validation.permutation_null import NullDistributions
from training.validation.refit import Fit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Names = NDArray[np.object_]

SCHEMES: Mapping[str, str] = {"loco": "each cohort left out in turn", "cv": "patients left out within cohorts"}
LEVEL = 0.9
"""The share of patients whose conformal set should hold their outcome."""
FEWEST_IN_SUBGROUP = 20


@dataclass(frozen=True)
class Scores:
    """Left-out predictions of one scheme, in the order of the table's rows.

    Attributes
    ----------
    rows : ndarray of int, (n_rows,)
        Positions in the table of the rows left out by every seed.
    y : ndarray, (n_rows,)
    cohorts : ndarray of str, (n_rows,)
        Centres count as cohorts.
    margin, probability : ndarray, (n_seeds, n_rows)
    """

    rows: NDArray[np.intp]
    y: Vector
    cohorts: Names
    margin: Matrix
    probability: Matrix

    @property
    def aurocs(self) -> list[float]:
        """Each seed's AUROC within cohorts."""
        return [float(mean_over_seeds(auroc, self.y, one, self.cohorts)[0]) for one in self.margin]


@dataclass(frozen=True)
class Evidence:
    """What is known of how a model does where it has not been.

    Attributes
    ----------
    scheme : {"loco", "cv"}
        Leave-one-cohort-out where there are several cohorts, else cross-validation.
    auroc : Estimate
        The left-out AUROC: the random-effects mean over cohorts, or the one cohort's.
    content : dict
        What is kept in the bundle and repeated in every answer; JSON-ready.
    validation : dict
        The whole of it, for card, gates and figures; JSON-ready.
    """

    scheme: str
    auroc: Estimate
    content: dict[str, Any]
    validation: dict[str, Any]

    def headline(self) -> dict[str, float]:
        """Return the left-out AUROC with its interval, under names short enough for MLflow's columns."""
        return {"auroc": self.auroc.value, "auroc_low": self.auroc.low, "auroc_high": self.auroc.high}


@dataclass(frozen=True)
class Circumstances:
    """What an experiment knows beside one model's predictions.

    Attributes
    ----------
    outcome : str
    tried : int
        How many models the best is chosen from.
    pooled_labels : bool
    notes : tuple of str
        Of the data.
    audit : tuple of dict
        The audit's findings, each with whether it was waived; none names a patient.
    looks : dict
        Earlier experiments on any of these cohorts, and the models they tried.
    seed : int
    """

    outcome: str
    tried: int
    pooled_labels: bool
    notes: tuple[str, ...]
    audit: tuple[dict[str, Any], ...]
    looks: dict[str, int]
    seed: int


def main_scheme(outer: Sequence[Fold]) -> str:
    """Return the scheme that evidence rests on: cohorts left out where they can be, else patients."""
    return "loco" if any(fold.scheme == "loco" for fold in outer) else "cv"


def scores(table: FeatureTable, y: Vector, left_out: Sequence[HeldOut], scheme: str) -> Scores:
    """Gather one scheme's left-out predictions."""
    mine = [one for one in left_out if one.fold.scheme == scheme]
    seeds = 1 + max((one.fold.repeat for one in mine), default=0)
    margin = np.full((seeds, len(y)), np.nan)
    probability = margin.copy()
    for one in mine:
        margin[one.fold.repeat, one.fold.test] = one.margin
        probability[one.fold.repeat, one.fold.test] = one.probability
    rows = np.flatnonzero(np.isfinite(margin).all(axis=0))
    return Scores(rows, y[rows], centres(table.rows)[rows], margin[:, rows], probability[:, rows])


def evidence_of(
    table: FeatureTable,
    y: Vector,
    plan: FitConfig,
    family: str,
    left_out: Sequence[HeldOut],
    fit: Fit,
    beside: Mapping[str, Sequence[HeldOut]],
    null: NullDistributions | None,
    around: Circumstances,
) -> Evidence:
    """Sum up left-out predictions as evidence.

    Parameters
    ----------
    table : FeatureTable
        The rows trained on.
    y : ndarray, (n_rows,)
    plan : Plan
    family : str
    left_out : sequence of LeftOut
    fit : Fit
        To all rows.
    beside : mapping of str to sequence of LeftOut
        The baselines, in the same folds.
    null : Null or None
        What the pipeline finds in permuted outcomes, if that was computed.
    around : Circumstances
    """
    scheme = main_scheme([one.fold for one in left_out])
    found = scores(table, y, left_out, scheme)
    within = bootstrap_interval(auroc, found.y, found.margin, found.cohorts)
    mean = auroc_random_effects(found.y, found.margin, found.cohorts)
    headline = within if mean.low is None else Estimate(*(float(v or 0) for v in (mean.mean, mean.low, mean.high)))
    judged = {name: scores(table, y, predictions, scheme) for name, predictions in beside.items()}
    about: dict[str, Any] = {
        "outcome": around.outcome,
        "definition": definition_of(around.outcome),
        "simulated": table.simulated,
        "pooled_labels": around.pooled_labels,
        "patients": len(table),
        "events": int(y.sum()),
        "cohorts": [{"name": name, **_published(cohort)} for name, cohort in table.cohorts.items()],
        "landmark": max(cohort.landmark for cohort in table.cohorts.values()),
        "window": max(cohort.window for cohort in table.cohorts.values()),
        "clocks": sorted({cohort.clock for cohort in table.cohorts.values()}),
        "chosen_from": around.tried,
        "notes": list(around.notes),
        "taxokine": version("taxokine"),
    }
    per_cohort = _per_cohort(found, left_out, scheme)
    permutation = None if null is None else null.summary(float(np.mean(found.aurocs)))
    verdict = _beats_chance(headline, permutation)
    about |= {"beats_chance": verdict}
    sentence = _sentence(about, headline, scheme, len(per_cohort), permutation, around.looks["experiments"])
    both = together(table, around.outcome)
    trust, difference = _trust(table, found, left_out, scheme) if "taxa" in plan.blocks else ([], None)
    # What the model reached on rows left out is what one may expect of it, once it is fitted well.
    expected = r2_of_auroc(headline.value, y.mean()) if np.isfinite(headline.value) else 0.0
    size = development_size(len(y), int(y.sum()), max(1, len(fit.encoder.features_)), expected)
    validation = {
        **about,
        "sentence": sentence,
        "scheme": scheme,
        "scheme_in_words": SCHEMES[scheme],
        "family": family,
        "blocks": list(plan.blocks),
        "setting": fit.setting,
        "features": len(fit.encoder.features_),
        "per_cohort": per_cohort,
        "random_effects": asdict(mean),
        "within": {
            "auroc": _json(within),
            "auprc": _json(bootstrap_interval(auprc, found.y, found.margin, found.cohorts)),
            **_briers(found),
        },
        "calibration": _slope(calibration_slope(found.y, found.probability[0], found.cohorts)),
        "seeds": _seeds(found),
        "other_scheme": _other(table, y, left_out, scheme),
        "permutation": permutation,
        "baselines": [
            {
                "name": name,
                "patients": len(one.y),
                "auroc": _json(bootstrap_interval(auroc, one.y, one.margin, one.cohorts)),
                "brier": _briers(one)["brier"],
            }
            for name, one in judged.items()
        ],
        "gain": _gain(found, judged),
        "rates": rates(y, centres(table.rows)),
        "together": both,
        "by_answer": by_answer(found.y, found.probability[0]),
        "distributions": distributions(table, fit.encoder),
        "decision": [
            {"cohort": name, **{"all" if k == "treat_all" else k: v for k, v in asdict(curve).items()}}
            for name, curve in decision_curves(found.y, found.probability[0], found.cohorts).items()
        ],
        "trust": trust,
        "trust_difference": difference,
        "sample_size": {
            "needed": size.needed,
            "had": size.patients,
            "events_needed": size.events_needed,
            "criterion": size.criterion,
            "parameters": size.parameters,
            "parameters_affordable": size.affordable,
        },
        "audit": list(around.audit),
        "looks": around.looks,
        "subgroups": _subgroups(table, found),
        "shap": _shap(table, y, plan, family, fit, [o for o in left_out if o.fold.scheme == scheme]),
        "missing": _missing(table, fit),
        "preprocessing": preparation(fit.encoder),
        "seed": around.seed,
        "software": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scikit-learn", "scipy")},
            "xgboost": version("xgboost-cpu"),
        },
    }
    content = {
        **about,
        "scheme": SCHEMES[scheme],
        "left_out_auroc": _json(headline),
        "per_cohort": [
            {
                **{key: one[key] for key in ("cohort", "patients", "events")},
                **{
                    f"auroc{end}": one["auroc"][key] for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
                },
            }
            for one in per_cohort
        ],
        "left_out_brier": validation["within"]["brier"],
        "prevalence_brier": validation["within"]["prevalence_brier"],
        "sentence": sentence,
        "odds_ratios": odds_ratios(both),
    }
    return Evidence(scheme, headline, content, validation)


def run_metrics(evidence: Evidence) -> dict[str, float]:
    """Return a run's metrics, of what the evidence says."""
    said = evidence.validation
    metrics: dict[str, float | None] = {
        **evidence.headline(),
        "patients": said["patients"],
        "events": said["events"],
        "auroc_prediction_low": said["random_effects"]["prediction_low"],
        "auroc_prediction_high": said["random_effects"]["prediction_high"],
        "auroc_seeds_mean": said["seeds"]["mean"],
        "auroc_seeds_sd": said["seeds"]["sd"],
        "brier": said["within"]["brier"],
        "prevalence_brier": said["within"]["prevalence_brier"],
        "brier_skill": said["within"]["brier_skill"],
        "calibration_slope": said["calibration"]["slope"],
    }
    for name in ("auroc", "auprc"):
        metrics |= {f"within_{name}{end}": said["within"][name][key] for end, key in _ENDS}
    if said["other_scheme"]:
        metrics |= {f"cv_auroc{end}": said["other_scheme"]["auroc"][key] for end, key in _ENDS}
    if said["permutation"]:
        metrics |= {f"permutation_{key}": said["permutation"][key] for key in ("p", "null_mean", "null_sd", "null_95")}
        metrics["permutation_best_of_p"] = said["permutation"]["best_of"]["p"]
    if said["gain"]:
        metrics |= {f"gain{end}": said["gain"][key] for end, key in _ENDS}
    for one in said["per_cohort"]:
        name = one["cohort"].replace("/", ".")
        metrics |= {f"auroc.{name}": one["auroc"]["value"], f"brier.{name}": one["brier"]}
        metrics[f"calibration_in_the_large.{name}"] = one["calibration"]["in_the_large"]
    for one in said["baselines"]:
        name = one["name"].replace(" + ", "_").replace(" ", "_")
        metrics |= {f"baseline.{name}.auroc": one["auroc"]["value"], f"baseline.{name}.brier": one["brier"]}
    return {name: value for name, value in metrics.items() if value is not None}


_ENDS = (("", "value"), ("_low", "low"), ("_high", "high"))


def left_out_predictions(y: Vector, left_out: Sequence[HeldOut]) -> pd.DataFrame:
    """Return every left-out prediction: `row`, `scheme`, `fold`, `repeat`, `outcome`, `margin`, `probability`."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "row": one.fold.test,
                    "scheme": one.fold.scheme,
                    "fold": one.fold.name,
                    "repeat": one.fold.repeat,
                    "outcome": y[one.fold.test],
                    "margin": one.margin,
                    "probability": one.probability,
                }
            )
            for one in left_out
        ],
        ignore_index=True,
    )


def _per_cohort(found: Scores, left_out: Sequence[HeldOut], scheme: str) -> list[dict[str, Any]]:
    areas = cohort_aurocs(found.y, found.margin, found.cohorts)
    calibrated = calibration_by_cohort(found.y, found.probability[0], found.cohorts)
    low, high, p_event, p_other = _exchangeable(found, left_out, scheme)
    ranges = range_coverage(found.y, low, high, found.cohorts)
    sets = conformal_coverage(found.y, p_event, p_other, found.cohorts, LEVEL)
    rows = []
    for name in dict.fromkeys(found.cohorts.tolist()):
        mine, own, range_, held = found.cohorts == name, calibrated[name], ranges[name], sets[name]
        rows.append(
            {
                "cohort": name,
                "patients": own.patients,
                "events": own.events,
                "prevalence": own.observed,
                "auroc": _json(areas.get(name)),
                "auprc": _json(bootstrap_interval(auprc, found.y[mine], found.margin[:, mine], found.cohorts[mine])),
                "brier": float(
                    mean_over_seeds(brier_score, found.y[mine], found.probability[:, mine], found.cohorts[mine])[0]
                ),
                "prevalence_brier": own.observed * (1 - own.observed),
                "brier_skill": own.brier_skill,
                "calibration": {
                    "in_the_large": own.in_the_large,
                    "intercept": own.intercept and own.intercept.value,
                    **_slope(own.slope),
                },
                "venn_abers": {
                    "low": range_.low,
                    "high": range_.high,
                    "observed": range_.observed,
                    "inside": range_.inside,
                    "width": range_.width,
                },
                "conformal": {
                    "level": LEVEL,
                    "coverage": held.coverage,
                    "single": held.single,
                    "both": held.both,
                    "none": held.none,
                },
            }
        )
    return rows


def _exchangeable(found: Scores, left_out: Sequence[HeldOut], scheme: str) -> tuple[Vector, Vector, Vector, Vector]:
    """Return the first seed's Venn-Abers ranges and conformal p-values, each (n_rows,)."""
    place = {int(row): at for at, row in enumerate(found.rows)}
    sides = np.full((4, len(found.rows)), np.nan)
    for one in left_out:
        if one.fold.scheme != scheme or one.fold.repeat:
            continue
        kept = [i for i, row in enumerate(one.fold.test) if int(row) in place]
        at, margin = [place[int(one.fold.test[i])] for i in kept], one.margin[kept]
        if not len(one.choice.y):
            sides[:, at] = [[0.0], [1.0], [1.0], [1.0]]
            continue
        sides[:2, at] = fit_venn_abers(one.choice.margin, one.choice.y).range(margin)
        sides[2:, at] = conformal_p(one.choice.y, one.choice.margin, margin)
    return sides[0], sides[1], sides[2], sides[3]


def _briers(found: Scores) -> dict[str, float | None]:
    own = np.array([found.y[found.cohorts == name].mean() for name in found.cohorts])
    return {
        "brier": float(np.mean([brier_score(found.y, one)[0] for one in found.probability])),
        "prevalence_brier": float(brier_score(found.y, own)[0]),
        "brier_skill": brier_skill(found.y, found.probability[0], found.cohorts),
    }


def _seeds(found: Scores) -> dict[str, Any]:
    values = found.aurocs
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"n": len(values), "mean": _finite(float(np.mean(values))), "sd": spread, "values": [*map(_finite, values)]}


def _other(table: FeatureTable, y: Vector, left_out: Sequence[HeldOut], scheme: str) -> dict[str, Any] | None:
    other = "cv" if scheme == "loco" else "loco"
    if not any(one.fold.scheme == other for one in left_out):
        return None
    found = scores(table, y, left_out, other)
    estimate = bootstrap_interval(auroc, found.y, found.margin, found.cohorts)
    return {"scheme_in_words": SCHEMES[other], "auroc": _json(estimate)}


def _gain(found: Scores, judged: Mapping[str, Scores]) -> dict[str, Any] | None:
    """Return the paired gain over whichever covariates did best: weak ones are easily beaten."""
    covariates = {
        name: one for name, one in judged.items() if name in COVARIATE_BLOCKS and len(one.rows) == len(found.rows)
    }
    if not covariates:
        return None
    strongest = max(covariates, key=lambda name: np.mean(covariates[name].aurocs))
    gained = auroc_gain(found.y, found.margin, covariates[strongest].margin, found.cohorts)
    return {"over": strongest, **_json(gained)} if np.isfinite(gained.value) else None


def _trust(
    table: FeatureTable, found: Scores, left_out: Sequence[HeldOut], scheme: str
) -> tuple[list[dict[str, Any]], dict[str, float] | None]:
    """Return how left-out patients did by the verdict their profiles would have got, and what could have been seen."""
    place = {int(row): at for at, row in enumerate(found.rows)}
    verdicts = np.full(len(found.rows), "", dtype=object)
    taxa, names = table.taxa.values, table.taxa.names
    for one in left_out:
        if one.fold.scheme != scheme or one.fold.repeat:
            continue
        train, test = one.fold.train, np.array([row for row in one.fold.test if int(row) in place], dtype=np.intp)
        known = (taxa[train] > 0).any(axis=0)
        whole = taxa[test].sum(axis=1)
        recognised = np.divide(taxa[test][:, known].sum(axis=1), whole, out=np.zeros(len(test)), where=whole > 0)
        reference = fit_reference_set(taxa[train], names, centres(table.rows)[train])
        verdicts[[place[int(row)] for row in test]] = profile_verdicts(reference, taxa[test], names, recognised)
    error, rows = (found.probability[0] - found.y) ** 2, []
    for verdict in VERDICTS:
        mine = verdicts == verdict
        area = (
            mean_over_seeds(auroc, found.y[mine], found.margin[:, mine], found.cohorts[mine])[0]
            if mine.any()
            else np.nan
        )
        rows.append(
            {
                "verdict": verdict,
                "patients": int(mine.sum()),
                "events": int(found.y[mine].sum()),
                "auroc": _finite(float(area)),
                "brier": float(error[mine].mean()) if mine.any() else None,
            }
        )
    ok, care = error[verdicts == VERDICTS[0]], error[verdicts != VERDICTS[0]]
    if min(len(ok), len(care)) < 2:
        return rows, None
    seen = detectable_difference(len(ok), len(care), float(ok.std(ddof=1)), float(care.std(ddof=1)))
    return rows, {"care_minus_ok_brier": float(care.mean() - ok.mean()), "detectable": seen}


def _subgroups(table: FeatureTable, found: Scores) -> list[dict[str, Any]]:
    """Return the AUROC within cohorts of each sex, of the younger and the older half, and of each regimen."""
    groups = []
    for by, level, mine in _levels(table, found.rows):
        events = int(found.y[mine].sum())
        if min(events, int(mine.sum()) - events) >= FEWEST_IN_SUBGROUP:
            area = bootstrap_interval(auroc, found.y[mine], found.margin[:, mine], found.cohorts[mine])
            groups.append(
                {"by": by, "level": level, "patients": int(mine.sum()), "events": events, "auroc": _json(area)}
            )
    return groups


def _levels(table: FeatureTable, rows: NDArray[np.intp]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for name, values in zip(table.clinical.names, table.clinical.values[rows].T, strict=True):
        column = Column.from_name("clinical", name)
        if column.field in ("sex", "regimen") and column.level:
            yield column.field, column.level, values == 1
        elif name == "age" and np.isfinite(values).any():
            middle = float(np.nanmedian(values))
            yield name, f"below {middle:g}", values < middle
            yield name, f"{middle:g} or above", values >= middle


def _shap(
    table: FeatureTable, y: Vector, plan: FitConfig, family: str, fit: Fit, left_out: Sequence[HeldOut]
) -> dict[str, Any]:
    """Return how much each feature, clade and block moves the answers, and in which share of folds it is used."""
    X = fit.encoder.transform(table)
    contributions, _ = fit.predictor.contributions(X)
    size = np.abs(contributions).mean(axis=0)
    first = [one for one in left_out if not one.fold.repeat]
    used = [set(one) for one in fold_attributions(table, y, plan, first, family)]
    features, blocks, clades = list[dict[str, Any]](), dict[str, float](), dict[str, float]()
    for at, feature in enumerate(fit.encoder.features_):
        key, share = (feature.block, feature.name), float(size[at])
        blocks[feature.block] = blocks.get(feature.block, 0.0) + share
        if feature.block == "taxa" and plan.representations != ("diversity",):
            clade = genus_of(feature.name)
            clades[clade] = clades.get(clade, 0.0) + share
        features.append(
            {
                "feature": feature.name,
                "block": feature.block,
                "mean_abs": share,
                "direction": int(np.sign(_covariance(X[:, at], contributions[:, at]))),
                "selected": float(np.mean([key in one for one in used])) if used else 0.0,
            }
        )
    features.sort(key=lambda one: (-one["mean_abs"], one["feature"]))
    return {"blocks": _shares(blocks, "block"), "clades": _shares(clades, "clade"), "features": features[:50]}


def _covariance(x: Vector, z: Vector) -> float:
    return float(((x - x.mean()) * (z - z.mean())).sum())


def _shares(sizes: Mapping[str, float], key: str) -> list[dict[str, Any]]:
    total = sum(sizes.values())
    ordered = sorted(((size / total, name) for name, size in sizes.items() if size), reverse=True) if total else []
    return [{key: name, "share": share} for share, name in ordered[:30]]


def _missing(table: FeatureTable, fit: Fit) -> list[dict[str, Any]]:
    """Return the share of rows in which each column that the model reads was not measured, where that is any."""
    filled = {"clinical": "training mean", "immune": "training median"}
    rows = []
    for feature in fit.encoder.features_:
        if feature.block in filled and feature.source >= 0:
            share = float(np.isnan(table.block(feature.block).values[:, feature.source]).mean())
            if share:
                rows.append(
                    {"block": feature.block, "name": feature.name, "share": share, "filled": filled[feature.block]}
                )
    return rows


def _beats_chance(headline: Estimate, permutation: Mapping[str, Any] | None) -> bool | None:
    """Return whether the interval and the refitted null both exclude chance; None where the null was not computed."""
    if not headline.low > 0.5:
        return False
    return None if permutation is None else bool(permutation["best_of"]["p"] < 0.05)


def _sentence(
    about: Mapping[str, Any],
    found: Estimate,
    scheme: str,
    n: int,
    permutation: Mapping[str, Any] | None,
    earlier: int,
) -> str:
    cohorts = f"{n} cohort{'s' if n != 1 else ''}"
    seen = "on cohorts it had not seen" if scheme == "loco" else "on patients of its own cohort that it had not seen"
    if not np.isfinite(found.value):
        return f"how this model does {seen} could not be measured ({cohorts}, {about['patients']} patients)"
    numbers = f"AUROC {found.value:.2f}, {found.low:.2f}-{found.high:.2f}; {cohorts}, {about['patients']} patients"
    if permutation is not None:
        numbers += f"; refitted null p = {permutation['best_of']['p']:.2g}"
    where = "" if scheme == "loco" else "; it was never tried on another cohort"
    if about["beats_chance"] and earlier:
        where += f"; {earlier} earlier experiment{'s' * (earlier > 1)} had looked at these data"
    if about["beats_chance"] and about["pooled_labels"]:
        where += "; labels of different meaning were pooled"
    simulated = "simulated data: " if about["simulated"] else ""
    if about["beats_chance"] is False:
        return f"{simulated}{seen} this model did no better than chance ({numbers}){where}"
    if about["beats_chance"]:
        return f"{simulated}{seen} this model did better than chance ({numbers}){where}"
    return (
        f"{simulated}{seen} this model did better than chance by an interval that leaves out what refitting adds "
        f"({numbers}), as one of {about['chosen_from']} models tried: not confirmed{where}"
    )


def _published(cohort: CohortContext) -> dict[str, Any]:
    keys = ("title", "clock", "index_event", "profiler", "citation", "licence", "simulated")
    return {key: getattr(cohort, key) for key in keys}


def _slope(found: Estimate | None) -> dict[str, float | None]:
    ends = (("slope", "value"), ("slope_low", "low"), ("slope_high", "high"))
    return {name: None if found is None else _finite(getattr(found, end)) for name, end in ends}


def _json(found: Estimate | None) -> dict[str, float | None]:
    return {end: None if found is None else _finite(getattr(found, end)) for end in ("value", "low", "high")}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
