"""Names of runs, of which the MLflow UI shows about twenty characters: what distinguishes a run comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHORT_NAMES = {
    "elastic_net": "enet",
    "xgboost": "xgb",
    "xgboost_forest": "xgbf",
    "cox_elastic_net": "cox",
    "xgboost_survival": "xgb",
    "immune": "imm",
    "clinical": "clin",
    "over_time": "time",
}
"""Of families and blocks; the tags `family` and `blocks` of a run hold the names themselves."""


def model_run_name(family: str, blocks: Iterable[str]) -> str:
    """Return the name of a model's run: ``enet taxa+imm+clin``. The experiment's name is the outcome."""
    return f"{_short(family)} {'+'.join(map(_short, blocks))}"


def parent_run_name(best_name: str, n_models: int, cohorts: Sequence[str]) -> str:
    """Return the name of a run that has the scores of its best model: ``best of 6: enet taxa · lee_2022``."""
    return f"best of {n_models}: {best_name} · {' + '.join(cohorts)}"


def _short(name: str) -> str:
    return _SHORT_NAMES.get(name, name)
