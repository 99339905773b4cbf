"""A server over real HTTP, with small models of every family that went through the disk, and empty databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import uvicorn
from fastapi import FastAPI

from features.feature_table import Block, FeatureTable
from features.transplants import Transplant, TransplantProfiles
from models.bundle import Model, load_bundle, save_bundle
from models.calibration import Calibration, fit_venn_abers
from models.encoder import BlockEncoder
from models.engraftment import EngraftmentBundle
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.predict import ServedModel
from models.reference import fit_reference_set
from serving.accounts import Accounts
from serving.app import create_app
from serving.database import open_database
from training.engraftment.run import validated_bundle
from training.progress import Progress

from ..invented import cohort_context
from .ehr import Json, patient_view_call

PROFILER = "mpa_vOct22_CHOCOPhlAnSGB_202212"


def table(n: int = 80, n_taxa: int = 40) -> FeatureTable:
    rng = np.random.default_rng(7)
    taxa = rng.lognormal(0, 2, (n, n_taxa)) * (rng.random((n, n_taxa)) < 0.7)
    taxa /= taxa.sum(axis=1, keepdims=True)
    immune = rng.lognormal(2, 1, (n, 4))
    female = rng.random(n) < 0.5
    clinical = np.column_stack([rng.normal(60, 10, n), female, ~female])
    return FeatureTable(
        rows=pd.DataFrame({"patient": [f"p{i}" for i in range(n)]}),
        taxa=Block(tuple(f"Genus{i % 9}_species{i}" for i in range(n_taxa)), taxa),
        immune=Block(("IL-6", "IL-8", "IL-10", "TNF-a"), immune),
        clinical=Block(("age", "sex=female", "sex=male"), clinical),
        technical=Block((), np.empty((n, 0))),
        units=dict.fromkeys(("IL-6", "IL-8", "IL-10", "TNF-a"), "pg/mL"),
        cohorts={"made_up": cohort_context()},
        notes=(),
    )


def save_model(family: str, outcome: str, blocks: tuple[str, ...], folder: Path) -> Model:
    data = table()
    encoder = BlockEncoder(blocks)
    X = encoder.fit_transform(data)
    taxa = data.taxa.values
    y = (taxa[:, 0] + taxa[:, 1] > np.median(taxa[:, 0] + taxa[:, 1])).astype(float)
    classifier = FAMILIES[family]
    evidence = {
        "beats_chance": None,
        "sentence": "one cohort only: the model was not tested on another one",
        "clocks": ["day_ici"],
        "landmark": 0.0,
        "simulated": True,
        "left_out_auroc": {"value": 0.7, "low": 0.5, "high": 0.9},
        "cohorts": [],
        "patients": len(data),
        "events": int(y.sum()),
        "odds_ratios": [
            {"response": outcome, "toxicity": "toxicity_any", "patients": 140, "value": 1.4, "low": 0.7, "high": 2.8}
        ]
        if outcome == "objective_response"
        else [],
    }
    model = Model(
        outcome,
        family,
        encoder,
        classifier.fit(X, y, np.zeros(len(X), dtype=np.intp), classifier.settings[-1], seed=1),
        Calibration(0.8, -0.1, fit_venn_abers(data.taxa.values[:, 0], y) if family == "xgboost" else None),
        {name: data.units[name] for name in data.immune.names} if "immune" in blocks else {},
        (PROFILER,),
        upgrade_evidence(evidence, outcome),
        "# Card\n",
        fit_reference_set(taxa, data.taxa.names, ["made_up"] * len(data), {outcome: y}),
        None,
        "<!doctype html><title>Card</title>" if family == "xgboost" else "",
    )
    save_bundle(model, folder)
    return load_bundle(folder)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[ServedModel]]:
    plan = [
        ("objective_response", "xgboost", ("taxa",)),
        ("disease_control", "xgboost_forest", ("taxa",)),
        ("toxicity_any", "elastic_net", ("taxa", "immune", "clinical")),
        ("toxicity_any", "elastic_net", ("taxa",)),
    ]
    models: dict[str, list[ServedModel]] = {}
    root = tmp_path_factory.mktemp("bundles")
    for i, (outcome, family, blocks) in enumerate(plan):
        served = ServedModel(
            save_model(family, outcome, blocks, root / str(i)), outcome, str(i), f"run{i}", "candidate"
        )
        models.setdefault(outcome, []).append(served)
    return models


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def key_and_accounts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Accounts]:
    accounts = Accounts(open_database(f"sqlite:///{tmp_path_factory.mktemp('home')}/taxokine.db"))
    return accounts.keys.add("tests"), accounts


@pytest.fixture(scope="session")
def address(models: dict[str, list[ServedModel]], key_and_accounts: tuple[str, Accounts]) -> Iterator[str]:
    # One name of a proxy, as `test_deploy` puts before it.
    with running(create_app(models, key_and_accounts[1], hosts=["taxokine.example.org"])) as url:
        yield url


@pytest.fixture(scope="session")
def client(address: str, key_and_accounts: tuple[str, Accounts]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key_and_accounts[0]}"}) as http:
        yield http


@pytest.fixture
def candidate() -> Json:
    data = table()
    # The mean of two training profiles is nobody's, so that no model learnt from this patient.
    return {
        "patient": {"id": "c1", "age": 61, "sex": "female"},
        "taxa": {
            "profiler": PROFILER,
            "unit": "proportions",
            "day": -3,
            "clock": "day_ici",
            "values": {
                f"s__{name.replace('_', ' ')}": float(value)
                for name, value in zip(data.taxa.names, data.taxa.values[3:5].mean(axis=0), strict=True)
                if value > 0
            },
        },
        "immune": [
            {"analyte": "Interleukin 6", "value": "<3.2", "unit": "pg/mL", "day": -1},
            {"analyte": "CXCL8", "value": 0.012, "unit": "ng/mL", "day": -1},
            {"analyte": "IL10", "value": 7, "unit": "pg/mL"},
            {"analyte": "TNF", "value": ">1000", "unit": "pg/mL"},
        ],
    }


@pytest.fixture
def call(candidate: Json) -> Json:
    """Return the call of CDS Hooks about the candidate."""
    return patient_view_call(candidate)


@pytest.fixture(scope="session")
def engraftment() -> EngraftmentBundle:
    """Return a model of nine transplants whose taxa are those of `table`."""
    rng, stool = np.random.default_rng(1), table().taxa
    recipients, donors = stool.values[:9], stool.values[9:12][np.arange(9) % 3]
    later = (0.7 * recipients + 0.3 * donors) * np.exp(0.3 * rng.standard_normal(recipients.shape))
    later /= later.sum(axis=1, keepdims=True)
    rows = tuple(Transplant("invented", f"p{i}", (f"invented/d{i % 3}",), 28.0) for i in range(9))
    profiles = TransplantProfiles(rows, stool.names, recipients, donors, later, PROFILER, "species", True, ())
    return validated_bundle(profiles, ("invented",), Progress())


@pytest.fixture(params=["sqlite", "postgresql"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database that is empty, or absent."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/taxokine.db"
    url: str = request.getfixturevalue("new_postgresql")()
    return url
