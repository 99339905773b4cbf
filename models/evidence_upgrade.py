"""Read the evidence that older bundles kept, in the words of their time.

Protocols 1 and 2 kept evidence as free JSON. What such a bundle does not report becomes null, empty or 0. Every AUROC
of protocols 1 to 3 ranks patients by the margin, which the upgraded evidence states. Protocols 1 to 4 called every
centre a cohort.
"""

from __future__ import annotations

from typing import Any

from features.outcomes import definition_of
from models.evidence import Evidence, Validation

Json = dict[str, Any]
"""A JSON object as an old bundle holds it: its shape is not known before it is read."""

_SCHEMES = {"each cohort left out in turn": "loco", "patients left out within cohorts": "cv"}
_CENTRES = {"per_cohort": "per_centre", "cohorts": "centres"}
_NO_ESTIMATE: Json = {"value": None, "low": None, "high": None}
_NO_META_ANALYSIS: Json = {
    "k": 0,
    **dict.fromkeys(("mean", "low", "high", "prediction_low", "prediction_high", "tau2", "i2")),
}
_NO_PERFORMANCE: Json = {
    **dict.fromkeys(("auroc", "auprc"), _NO_ESTIMATE),
    **dict.fromkeys(("brier", "prevalence_brier", "brier_skill")),
}


def upgrade_protocol_4_evidence(content: Json) -> Evidence:
    """Read the evidence of a bundle of protocol 4; errors as in `Evidence.from_json`."""
    return Evidence.from_json(_with_centres(content, "per_cohort"))


def upgrade_protocol_4_validation(content: Json) -> Validation:
    """Read the validation record of a bundle of protocol 4; errors as in `Validation.from_json`."""
    return _read_validation(content, upgrade_protocol_4_evidence(content["evidence"]))


def _read_validation(content: Json, evidence: Evidence) -> Validation:
    """Read a validation record that calls centres cohorts, with evidence of today."""
    rates, together = content["rates"], content["response_and_toxicity"]
    return Validation.from_json(
        {
            **{key: value for key, value in content.items() if key not in ("per_cohort", "within_cohorts")},
            "within_centres": content["within_cohorts"],
            "per_centre": [_with_named_sets(_renamed(row, cohort="centre")) for row in content["per_cohort"]],
            "evidence": evidence.to_json(),
            "rates": rates and _with_centres(rates, "cohorts"),
            "response_and_toxicity": {
                **together,
                "tables": [_with_named_cells(table) for table in together["tables"]],
            },
        }
    )


def upgrade_protocol_3_evidence(content: Json) -> Evidence:
    """Read the evidence of a bundle of protocol 3; errors as in `Evidence.from_json`."""
    return upgrade_protocol_4_evidence({**content, "auroc_of": "margin", "margin_auroc": content["held_out_auroc"]})


def upgrade_protocol_3_validation(content: Json) -> Validation:
    """Read the validation record of a bundle of protocol 3; errors as in `Validation.from_json`."""
    gain = content["gain"]
    return _read_validation(
        {
            **content,
            "per_cohort": [_with_margin_auroc(row) for row in content["per_cohort"]],
            "within_cohorts": _with_margin_auroc(content["within_cohorts"]),
            "margin_random_effects": _NO_META_ANALYSIS,
            "gain": gain and {**gain, "random_effects": _NO_META_ANALYSIS},
            "without_cohort": [],
        },
        upgrade_protocol_3_evidence(content["evidence"]),
    )


def upgrade_evidence(content: Json, outcome: str) -> Evidence:
    """Read the evidence of a bundle of protocol 1 or 2.

    Parameters
    ----------
    content : dict
        JSON as the bundle keeps it.
    outcome : str
        The bundle's outcome, for bundles whose evidence does not name it.

    Raises
    ------
    KeyError, TypeError, ValueError
        Something without which a model cannot be served is missing, or of another type.
    """
    return upgrade_protocol_4_evidence(
        {
            "outcome": content.get("outcome", outcome),
            "definition": content.get("definition", definition_of(outcome)),
            "sentence": content["sentence"],
            "beats_chance": content["beats_chance"],
            "simulated": content["simulated"],
            "pooled_labels": content.get("pooled_labels", False),
            "patients": content.get("patients", 0),
            "events": content.get("events", 0),
            "cohorts": content.get("cohorts", []),
            "landmark": content["landmark"],
            "window": content.get("window", 0.0),
            "clocks": content["clocks"],
            # Patients held out within cohorts are the weaker claim of the two.
            "scheme": _SCHEMES.get(content.get("scheme", ""), "cv"),
            "held_out_auroc": content.get("left_out_auroc", _NO_ESTIMATE),
            "auroc_of": "margin",
            "margin_auroc": content.get("left_out_auroc", _NO_ESTIMATE),
            "held_out_brier": content.get("left_out_brier"),
            "prevalence_brier": content.get("prevalence_brier"),
            "per_cohort": [_cohort_auroc(row) for row in content.get("per_cohort", ())],
            "odds_ratios": content.get("odds_ratios", []),
            "models_compared": content.get("chosen_from", 1),
            "notes": content.get("notes", []),
            "taxokine_version": content.get("taxokine", ""),
        }
    )


def upgrade_validation(content: Json, evidence: Evidence, family: str) -> Validation | None:
    """Read the validation record of a bundle of protocol 2; None where it kept none.

    Parameters
    ----------
    content : dict
        JSON as the bundle keeps it.
    evidence : Evidence
        The bundle's, upgraded.
    family : str
        Family of the model.

    Raises
    ------
    KeyError, TypeError, ValueError
        A part is incomplete, or of another type.
    """
    if not content:
        return None
    scheme = content.get("other_scheme")
    return _read_validation(
        {
            "family": family,
            "blocks": content.get("blocks", []),
            "hyperparameters": content.get("setting", {}),
            "n_features": content.get("features", 0),
            "preprocessing": content.get("preprocessing", {}),
            "missing": [_renamed(row, filled="imputation") for row in content.get("missing", ())],
            "per_cohort": [_cohort_performance(row) for row in content.get("per_cohort", ())],
            "random_effects": content.get("random_effects", _NO_META_ANALYSIS),
            "margin_random_effects": _NO_META_ANALYSIS,
            "within_cohorts": _with_margin_auroc(content.get("within", _NO_PERFORMANCE)),
            "calibration_slope": _slope(content.get("calibration")),
            "seeds": content.get("seeds", {"n": 0, "mean": None, "sd": None, "values": []}),
            "other_scheme": scheme and {"scheme": _SCHEMES[scheme["scheme_in_words"]], "auroc": scheme["auroc"]},
            "permutation": _permutation(content.get("permutation")),
            "baselines": content.get("baselines", []),
            "gain": _gain(content.get("gain")),
            "without_cohort": [],
            "decision_curves": [_decision_curve(row) for row in content.get("decision", ())],
            "by_verdict": content.get("trust", []),
            "verdict_difference": _renamed(content.get("trust_difference"), care_minus_ok_brier="brier_difference"),
            "outcomes_by_probability": [
                {"probability_from": row["from"], "probability_to": row["to"], "outcomes": _rate(row)}
                for row in content.get("by_answer", ())
            ],
            "subgroups": [_renamed(row, by="column") for row in content.get("subgroups", ())],
            "rates": _rates(content.get("rates")),
            "response_and_toxicity": _joint_counts(content.get("together")),
            "distributions": _distributions(content.get("distributions")),
            "attribution": _attribution(content.get("shap")),
            "sample_size": _renamed(content.get("sample_size"), had="patients"),
            "audit_findings": [
                _renamed(row, what="description", why="consequence", todo="remedy") for row in content.get("audit", ())
            ],
            "prior_experiments": content.get("looks", {"experiments": 0, "models": 0}),
            "seed": content.get("seed", 0),
            "software": content.get("software", {}),
        },
        evidence,
    )


def _renamed(row: Any, **names: str) -> Any:
    """Return a JSON object with keys renamed, old to new; null stays null."""
    return row and {names.get(key, key): value for key, value in row.items()}


def _with_centres(content: Json, name: str) -> Json:
    """Return a JSON object whose list of centres, formerly called cohorts, has the name of today."""
    rows = [_renamed(row, cohort="centre") for row in content[name]]
    unchanged = {key: value for key, value in content.items() if key != name}
    return {**unchanged, _CENTRES[name]: rows}


def _with_named_cells(table: Json) -> Json:
    """Return a joint table whose cells, formerly `both` and `neither`, have the names of today."""
    names = {"both": "response_with_toxicity", "neither": "no_response_no_toxicity"}
    table = _with_centres(table, "cohorts")
    centres = [{**row, "cells": _renamed(row["cells"], **names)} for row in table["centres"]]
    return {**table, "centres": centres, "overall": _renamed(table["overall"], **names)}


def _with_named_sets(row: Json) -> Json:
    """Return a centre's performance whose shares of conformal sets have the names of today."""
    return {**row, "conformal": _renamed(row["conformal"], single="one_label", both="two_labels", none="no_label")}


def _with_margin_auroc(row: Json) -> Json:
    return {**row, "margin_auroc": row["auroc"]}


def _cohort_auroc(row: Json) -> Json:
    auroc = {"value": row["auroc"], "low": row["auroc_low"], "high": row["auroc_high"]}
    return {"cohort": row["cohort"], "patients": row.get("patients", 0), "events": row.get("events", 0), "auroc": auroc}


def _cohort_performance(row: Json) -> Json:
    unreported = ("prevalence", "brier", "prevalence_brier", "brier_skill", "venn_abers", "conformal")
    calibration = row.get("calibration", {})
    return {
        "cohort": row["cohort"],
        "patients": row.get("patients", 0),
        "events": row.get("events", 0),
        "auroc": row.get("auroc") or _NO_ESTIMATE,
        "margin_auroc": row.get("auroc") or _NO_ESTIMATE,
        "auprc": row.get("auprc") or _NO_ESTIMATE,
        "calibration": {
            "in_the_large": calibration.get("in_the_large"),
            "intercept": calibration.get("intercept"),
            "slope": _slope(calibration),
        },
        **{name: row.get(name) for name in unreported},
    }


def _slope(calibration: Json | None) -> Json:
    ends = (("value", "slope"), ("low", "slope_low"), ("high", "slope_high"))
    return {end: (calibration or {}).get(name) for end, name in ends}


def _permutation(content: Json | None) -> Json | None:
    if content is None:
        return None
    best = content["best_of"]
    names = {"null_mean": "mean", "null_sd": "sd", "null_95": "percentile_95"}
    model, best_of_all = (
        _renamed({key: value for key, value in null.items() if key not in ("best_of", "models")}, **names)
        for null in (content, best)
    )
    return {"model": model, "best_of_all": best_of_all, "models": best["models"]}


def _gain(content: Json | None) -> Json | None:
    return content and {
        "baseline": content["over"],
        "difference": {end: content[end] for end in ("value", "low", "high")},
        "random_effects": _NO_META_ANALYSIS,
    }


def _decision_curve(row: Json) -> Json:
    return {
        name: row["all" if name == "treat_all" else name]
        for name in ("cohort", "patients", "events", "indicative", "thresholds", "model", "low", "high", "treat_all")
    }


def _rate(row: Json) -> Json:
    return {name: row[name] for name in ("patients", "events", "rate", "low", "high")}


def _rates(content: Json | None) -> Json | None:
    return content and {
        **content,
        "cohorts": [{"cohort": row["cohort"], "outcomes": _rate(row)} for row in content["cohorts"]],
    }


def _joint_counts(content: Json | None) -> Json:
    if content is None:
        return {"tables": [], "reason": "this model was trained before response and toxicity were counted together"}
    tables = [
        {
            **table,
            "cohorts": [
                {"cohort": row["cohort"], "cells": {name: value for name, value in row.items() if name != "cohort"}}
                for row in table["cohorts"]
            ],
        }
        for table in content["tables"]
    ]
    return {**content, "tables": tables}


def _distributions(content: Json | None) -> Json:
    if content is None:
        return {"patients": 0, "immune": {}, "clinical": {}, "taxa": {}}
    return {
        **content,
        **{
            block: {name: _renamed(column, bins="histogram") for name, column in content[block].items()}
            for block in ("immune", "clinical")
        },
    }


def _attribution(content: Json | None) -> Json | None:
    return content and {
        "blocks": [{"name": row["block"], "share": row["share"]} for row in content["blocks"]],
        "clades": [{"name": row["clade"], "share": row["share"]} for row in content["clades"]],
        "features": [_renamed(row, mean_abs="mean_absolute_shap") for row in content["features"]],
    }
