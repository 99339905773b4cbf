"""What pages show of the served models together: horizons of toxicity, and patients counted by both outcomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.evidence import CellRates, JointCounts, JointTable
from models.predict import ServedModel
from models.rates import event_rate
from serving.pages.catalogue import Catalogue

from ..training.evidence.validations import LOCO


def counted(served: ServedModel, pair: tuple[str, ...], patients: int, by_day: float | None = None) -> ServedModel:
    """Return a model by whose day events count, with so many training patients of known response and toxicity."""
    rate = event_rate(patients // 4, patients)
    table = JointTable(*pair, (), CellRates(patients, rate, rate, rate, rate), None)
    evidence = replace(served.model.evidence, by_day="any" if by_day is None else by_day)
    validation = replace(LOCO, evidence=evidence, response_and_toxicity=JointCounts((table,), None))
    return replace(served, model=replace(served.model, evidence=evidence, validation=validation))


@pytest.mark.parametrize(("by_day", "patients"), [(None, 300), (90.0, 220)])
def test_counts_by_the_horizon_of_the_toxicity_alone_are_shown(models, by_day, patients):
    pair = ("objective_response", "toxicity_any")
    response, toxicity = (models[outcome][0] for outcome in pair)
    served = {pair[0]: [counted(response, pair, 300)], pair[1]: [counted(toxicity, pair, 220, by_day)]}
    table = Catalogue(served).joint_counts()
    assert table is not None
    assert table.overall.patients == patients


def test_a_term_names_the_horizon_that_all_models_share(models):
    first, second = (
        counted(served, ("disease_control", "toxicity_any"), 100, 90.0) for served in models["toxicity_any"]
    )
    assert Catalogue({"toxicity_any": [first, second]}).terms == {"toxicity_any": "irAE of any grade by day 90"}
    later = counted(second, ("disease_control", "toxicity_any"), 100, 180.0)
    assert Catalogue({"toxicity_any": [first, later]}).terms == {"toxicity_any": "irAE of any grade"}
