"""Ranking of an experiment's models."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from training.evidence.metrics import HEADLINE
from training.experiment.eligibility import COMPARABLE_SHARE
from training.experiment.model_run import TrainedModel
from training.statistics.interval_estimate import interval_metrics


def rank_models(trained: Sequence[TrainedModel]) -> list[TrainedModel]:
    """Return the models, the best first: comparable ones (`COMPARABLE_SHARE`) before others, then by held-out AUROC.

    The AUROC is that of the probability as served, as in all evidence.
    """
    largest = max(model.validation.evidence.patients for model in trained)

    def merit(model: TrainedModel) -> tuple[bool, float]:
        evidence = model.validation.evidence
        return evidence.patients >= COMPARABLE_SHARE * largest, evidence.held_out_auroc.value or 0.0

    return sorted(trained, key=merit, reverse=True)


def comparison_table(trained: Sequence[TrainedModel]) -> pd.DataFrame:
    """Return the models as a table, in their order."""
    return pd.DataFrame(
        [
            {
                "family": model.family,
                "blocks": "+".join(model.blocks),
                "patients": model.validation.evidence.patients,
                "events": model.validation.evidence.events,
                **interval_metrics({HEADLINE: model.validation.evidence.held_out_auroc}),
                "run_id": model.run_id,
            }
            for model in trained
        ]
    )


def versions_to_register(ranked: Sequence[TrainedModel]) -> list[tuple[str, str, dict[str, str]]]:
    """Return URI, run and tags of the best model of each set of blocks, the best first, among those with a bundle."""
    best = dict[tuple[str, ...], TrainedModel]()
    for model in ranked:
        if model.model is not None:
            best.setdefault(model.blocks, model)
    return [(model.model_uri, model.run_id, _version_tags(model)) for model in best.values()]


def _version_tags(model: TrainedModel) -> dict[str, str]:
    evidence = model.validation.evidence
    auroc = evidence.held_out_auroc.value
    return {
        "family": model.family,
        "blocks": "+".join(model.blocks),
        "simulated": str(evidence.simulated).lower(),
        "held_out_auroc": "not estimable" if auroc is None else f"{auroc:.3f}",
        "evidence": evidence.sentence,
    }
