"""Evidence in full, invented: a model without skill on five left-out cohorts, one that passes, one of one cohort."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

import numpy as np

from models.joint import CELLS
from models.rates import event_rate
from training.evidence.aggregates import rates

COHORTS = [
    ("lee_2022/Leeds", 18, 9, 0.61, 0.34, 0.84),
    ("lee_2022/Manchester", 31, 14, 0.47, 0.28, 0.67),
    ("frankel_2017", 39, 19, 0.55, 0.37, 0.72),
    ("matson_2018", 39, 15, 0.58, 0.39, 0.75),
    ("mitox", 58, 21, 0.44, 0.29, 0.60),
]


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def _cohort(name: str, n: int, events: int, area: float, low: float, high: float) -> dict[str, Any]:
    share = events / n
    return {
        "cohort": name,
        "patients": n,
        "events": events,
        "prevalence": share,
        "auroc": estimate(area, low, high),
        "auprc": estimate(share + 0.05, share - 0.1, share + 0.2),
        "brier": share * (1 - share) + 0.006,
        "prevalence_brier": share * (1 - share),
        "brier_skill": -0.025,
        "calibration": {"in_the_large": share - 0.43, "intercept": 0.1, "slope": 0.31, "slope_low": -0.4,
                        "slope_high": 1.02},
        "venn_abers": {"low": 0.38, "high": 0.47, "observed": share, "inside": 0.38 <= share <= 0.47, "width": 0.09},
        "conformal": {"level": 0.9, "coverage": 0.89, "single": 0.12, "both": 0.88, "none": 0.0},
    }  # fmt: skip


def _published(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"{name.title()}, melanoma",
        "citation": f"{name.title()}, Nature Medicine",
        "licence": "CC-BY-4.0",
        "clock": "day_ici",
        "index_event": "first dose",
        "profiler": "mpa_vOct22_CHOCOPhlAnSGB_202212",
        "simulated": False,
    } | more


def _decision(one: dict[str, Any]) -> dict[str, Any]:
    at = np.linspace(0.05, 0.8, 16)
    everybody = one["prevalence"] - (1 - one["prevalence"]) * at / (1 - at)
    model = np.maximum(everybody, 0.02 * (1 - at))
    return {
        "cohort": one["cohort"],
        "patients": one["patients"],
        "events": one["events"],
        "indicative": one["events"] < 100,
        "thresholds": at.tolist(),
        "model": model.tolist(),
        "low": (model - 0.08).tolist(),
        "high": (model + 0.08).tolist(),
        "all": everybody.tolist(),
    }


def _rates(cohorts: list[tuple[str, int, int]]) -> dict[str, Any]:
    y = np.concatenate([np.arange(n) < events for _, n, events in cohorts]).astype(float)
    return rates(y, np.repeat(np.array([name for name, *_ in cohorts], dtype=object), [n for _, n, _ in cohorts]))


def _cells(*counts: int) -> dict[str, Any]:
    patients = sum(counts)
    return {"patients": patients} | {
        name: asdict(event_rate(one, patients)) for name, one in zip(CELLS, counts, strict=True)
    }


_PER_COHORT = [_cohort(*one) for one in COHORTS]
_LOCO: dict[str, Any] = {
    "scheme": "loco",
    "scheme_in_words": "each cohort left out in turn",
    "outcome": "objective_response",
    "definition": "complete or partial response (RECIST)",
    "simulated": False,
    "pooled_labels": False,
    "family": "elastic_net",
    "blocks": ["taxa", "clinical"],
    "setting": {"l1_ratio": 0.5, "lambda_ratio": 0.2371},
    "preprocessing": {
        "taxa": ["those found in 10% to 100% of the training samples", "centred log-ratios"],
        "clinical": ["columns seldom measured dropped, gaps filled with the training mean"],
    },
    "features": 241,
    "patients": 185,
    "events": 78,
    "cohorts": [
        _published("lee_2022", index_event="first dose of anti-PD-1"),
        _published("frankel_2017", profiler=None),
        _published("matson_2018", licence="not stated"),
        _published("mitox"),
    ],
    "landmark": 30.0,
    "window": 90.0,
    "clocks": ["day_ici"],
    "per_cohort": _PER_COHORT,
    "random_effects": {"k": 5, "mean": 0.52, "low": 0.44, "high": 0.60, "prediction_low": 0.41, "prediction_high": 0.63,
                       "tau2": 0.02, "i2": 0.11},
    "within": {"auroc": estimate(0.519, 0.44, 0.59), "auprc": estimate(0.47, 0.40, 0.55), "brier": 0.251,
               "prevalence_brier": 0.241, "brier_skill": -0.041},
    "calibration": {"slope": 0.22, "slope_low": -0.19, "slope_high": 0.63},
    "seeds": {"n": 10, "mean": 0.515, "sd": 0.012,
              "values": [0.519, 0.498, 0.531, 0.512, 0.509, 0.525, 0.520, 0.497, 0.516, 0.523]},
    "other_scheme": {"scheme_in_words": "patients left out within cohorts", "auroc": estimate(0.56, 0.48, 0.64)},
    "permutation": {"n": 200, "observed": 0.519, "p": 0.31, "null_mean": 0.50, "null_sd": 0.041, "null_95": 0.567,
                    "best_of": {"n": 200, "models": 12, "observed": 0.561, "p": 0.42, "null_mean": 0.556,
                                "null_sd": 0.03, "null_95": 0.611}},
    "baselines": [
        {"name": "prevalence", "patients": 185, "auroc": estimate(0.5), "brier": 0.241},
        {"name": "clinical", "patients": 185, "auroc": estimate(0.57, 0.49, 0.65), "brier": 0.24},
        {"name": "technical", "patients": 127, "auroc": estimate(0.53, 0.43, 0.62), "brier": 0.245},
        {"name": "clinical + technical", "patients": 185, "auroc": estimate(0.56, 0.48, 0.63), "brier": 0.243},
        {"name": "published signature", "patients": 185, "auroc": estimate(0.55, 0.47, 0.62), "brier": None},
    ],
    "gain": {"over": "clinical + technical", "value": -0.04, "low": -0.13, "high": 0.05},
    "decision": [_decision(one) for one in _PER_COHORT],
    "rates": _rates([one[:3] for one in COHORTS]),
    "together": {
        "tables": [
            {"response": "objective_response", "toxicity": "toxicity_any", "overall": _cells(14, 21, 40, 30),
             "cohorts": [{"cohort": "mitox", **_cells(9, 12, 23, 14)},
                         {"cohort": "lee_2022/Manchester", **_cells(5, 9, 17, 16)}],
             "odds_ratio": estimate(1.94, 0.84, 4.51)},
            {"response": "objective_response", "toxicity": "toxicity_3", "overall": _cells(21, 0, 37, 0),
             "cohorts": [{"cohort": "mitox", **_cells(21, 0, 37, 0)}], "odds_ratio": None},
        ],
        "reason": None,
    },
    "by_answer": [
        {"from": 0.0, "to": 0.41, **asdict(event_rate(36, 92))},
        {"from": 0.41, "to": 1.0, **asdict(event_rate(42, 93))},
    ],
    "distributions": {
        "patients": 185,
        "immune": {
            "IL-6": {"unit": "pg/mL", "measured": 58, "below": 3, "above": 0,
                     "quantiles": {"25": 1.2, "50": 3.25, "75": 9.0}, "bins": {"edges": [3.25], "patients": [29, 29]}},
            "IL-8": {"unit": "pg/mL", "measured": 12, "below": 0, "above": 0, "quantiles": None, "bins": None},
        },
        "clinical": {"sex": {"measured": 181, "levels": {"female": {"patients": 71, "share": 71 / 181},
                                                         "male": {"patients": 110, "share": 110 / 181}}}},
        "taxa": {"Faecalibacterium_prausnitzii": {"carriers": 170, "prevalence": 170 / 185, "quantiles": None},
                 "Akkermansia_muciniphila": {"carriers": 80, "prevalence": 80 / 185, "quantiles": None}},
    },
    "trust": [
        {"verdict": "ok", "patients": 88, "events": 37, "auroc": 0.53, "brier": 0.248},
        {"verdict": "use with care", "patients": 91, "events": 39, "auroc": 0.50, "brier": 0.253},
        {"verdict": "abstain", "patients": 6, "events": 2, "auroc": None, "brier": 0.29},
    ],
    "trust_difference": {"care_minus_ok_brier": 0.005, "detectable": 0.031},
    "sample_size": {"needed": 3120, "had": 185, "events_needed": 1316, "criterion": "shrinkage", "parameters": 241,
                    "parameters_affordable": 14},
    "audit": [
        {"code": "confounded-block", "severity": "warning", "cohort": "mitox", "rows": 58,
         "description": "read length alone reaches AUROC 0.66", "consequence": "a model may learn the sequencer",
         "remedy": "compare with the technical baseline", "waived": False},
        {"code": "outcome-contradiction", "severity": "error", "cohort": "frankel_2017", "rows": 2,
         "description": "2 patients respond by one column and not by another",
         "consequence": "one of the columns is wrong", "remedy": "ask the authors", "waived": True},
    ],
    "looks": {"experiments": 7, "models": 84},
    "chosen_from": 12,
    "subgroups": [
        {"by": "sex", "level": "female", "patients": 71, "events": 29, "auroc": estimate(0.50, 0.37, 0.63)},
        {"by": "sex", "level": "male", "patients": 110, "events": 47, "auroc": estimate(0.53, 0.43, 0.63)},
        {"by": "age", "level": "above median", "patients": 90, "events": 40, "auroc": estimate(0.52, 0.41, 0.63)},
        {"by": "regimen", "level": "anti-CTLA-4", "patients": 3, "events": 0, "auroc": estimate(None)},
    ],
    "shap": {
        "blocks": [{"block": "taxa", "share": 0.84}, {"block": "clinical", "share": 0.16}],
        "clades": [{"clade": "Lachnospiraceae", "share": 0.41}, {"clade": "Bacteroides", "share": 0.22},
                   {"clade": "not placed", "share": 0.21}],
        "features": [
            {"feature": "Faecalibacterium_prausnitzii", "block": "taxa", "mean_abs": 0.11, "direction": 1,
             "selected": 0.8},
            {"feature": "age", "block": "clinical", "mean_abs": 0.07, "direction": -1, "selected": 1.0},
            {"feature": "Bacteroides_uniformis", "block": "taxa", "mean_abs": 0.05, "direction": -1, "selected": 0.6},
            {"feature": "Candidatus_Cibionibacter_quicibialis", "block": "taxa", "mean_abs": 0.02, "direction": 0,
             "selected": 0.2},
            {"feature": "GGB9534_SGB14937", "block": "taxa", "mean_abs": 0.0, "direction": 0, "selected": 0.0},
        ],
    },
    "missing": [{"block": "clinical", "name": "ecog", "share": 0.42, "filled": "training median"}],
    "beats_chance": False,
    "sentence": "on cohorts it had not seen this model did no better than chance (AUROC 0.52, 0.44-0.60; 5 cohorts, "
                "185 patients)",
    "notes": ["lee_2022: 60 patients with stool; left out: 11 with unknown outcome"],
    "taxokine": "0.1.0",
    "seed": 0,
    "software": {"python": "3.11.2", "numpy": "2.3.4", "scikit-learn": "1.8.0", "xgboost": "3.2.0"},
}  # fmt: skip


def loco() -> dict[str, Any]:
    """Return a model without skill, of five left-out cohorts."""
    return copy.deepcopy(_LOCO)


def strong() -> dict[str, Any]:
    """Return a simulated model that passes every gate."""
    found = loco()
    for one in found["per_cohort"]:
        one["auroc"] = estimate(0.81, 0.68, 0.91)
        one["calibration"] = {"in_the_large": 0.02, "intercept": 0.1, "slope": 1.1, "slope_low": 0.6, "slope_high": 1.6}
    found["random_effects"] |= {
        "mean": 0.81,
        "low": 0.77,
        "high": 0.85,
        "prediction_low": 0.72,
        "prediction_high": 0.88,
    }
    found["within"] |= {"auroc": estimate(0.81, 0.75, 0.87), "brier": 0.178, "brier_skill": 0.26}
    found["permutation"] |= {"observed": 0.81, "p": 0.005}
    found["permutation"]["best_of"] |= {"observed": 0.81, "p": 0.005}
    return found | {
        "simulated": True,
        "calibration": {"slope": 1.05, "slope_low": 0.8, "slope_high": 1.3},
        "gain": {"over": "clinical + technical", "value": 0.27, "low": 0.19, "high": 0.35},
        "sample_size": found["sample_size"] | {"needed": 180, "parameters": 12},
        "audit": found["audit"][:1],
        "beats_chance": True,
        "sentence": "simulated data: on cohorts it had not seen this model did better than chance (AUROC 0.81, "
        "0.77-0.85; 5 cohorts, 185 patients)",
    }


def single() -> dict[str, Any]:
    """Return what one small cohort without skill leaves to say."""
    found = loco()
    one = found["per_cohort"][0] | {
        "cohort": "mine", "patients": 24, "events": 11, "brier_skill": None, "prevalence": 11 / 24,
        "calibration": {"in_the_large": 0.0, "intercept": None, "slope": None, "slope_low": None, "slope_high": None},
        "venn_abers": None,
        "conformal": None,
    }  # fmt: skip
    return found | {
        "scheme": "cv",
        "scheme_in_words": "patients left out within cohorts",
        "patients": 24,
        "events": 11,
        "blocks": ["immune"],
        "cohorts": [_published("mine", profiler=None)],
        "per_cohort": [one],
        "random_effects": {"k": 1, "mean": 0.61, "low": None, "high": None, "prediction_low": None,
                           "prediction_high": None, "tau2": None, "i2": None},
        "within": {"auroc": estimate(0.61, 0.34, 0.84), "auprc": estimate(0.55, 0.4, 0.7), "brier": 0.25,
                   "prevalence_brier": 0.248, "brier_skill": -0.008},
        "sample_size": found["sample_size"] | {"needed": 640, "had": 24, "parameters": 9, "parameters_affordable": 0},
        "preprocessing": {"immune": ["concentrations and counts as log10"]},
        "calibration": {"slope": None, "slope_low": None, "slope_high": None},
        "seeds": {"n": 1, "mean": 0.61, "sd": None, "values": [0.61]},
        "other_scheme": None,
        "permutation": None,
        "baselines": [{"name": "prevalence", "patients": 24, "auroc": estimate(0.5), "brier": 0.248}],
        "gain": None,
        "decision": [_decision(one)],
        "rates": _rates([("mine", 24, 11)]),
        "together": {"tables": [], "reason": "no cohort tells the toxicity of the patients whose objective_response is "
                                             "known"},
        "by_answer": [],
        "distributions": {"patients": 24, "immune": {"IL-6": {"unit": "pg/mL", "measured": 24, "below": 0, "above": 0,
                          "quantiles": {"25": 1.2, "50": 3.25, "75": 9.0}, "bins": None}}, "clinical": {}, "taxa": {}},
        "trust": [{"verdict": "ok", "patients": 24, "events": 11, "auroc": 0.61, "brier": 0.25}],
        "trust_difference": None,
        "audit": [],
        "looks": {"experiments": 0, "models": 0},
        "chosen_from": 1,
        "subgroups": [],
        "shap": {"blocks": [{"block": "immune", "share": 0.0}], "clades": [],
                 "features": [{"feature": "IL-6", "block": "immune", "mean_abs": 0.0, "direction": 0,
                               "selected": 0.0}]},
        "missing": [],
        "beats_chance": False,
        "sentence": "on patients of its own cohort that it had not seen this model did no better than chance (AUROC "
        "0.61, 0.34-0.84; 1 cohort, 24 patients); it was never tried on another cohort",
        "notes": [],
    }  # fmt: skip


def predictions(validation: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Return left-out predictions of as many patients and events as each cohort has."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(one["patients"]) < one["events"] for one in validation["per_cohort"]]).astype(float)
    names = [one["cohort"] for one in validation["per_cohort"] for _ in range(one["patients"])]
    shift = 1.2 if validation["within"]["auroc"]["value"] > 0.7 else 0.1
    margin = rng.normal(0, 1, len(y)) + shift * (y - 0.5)
    probability = 1 / (1 + np.exp(-(margin * shift - 0.3)))
    return {"y": y, "margin": margin, "probability": probability, "cohorts": np.array(names, dtype=object)}
