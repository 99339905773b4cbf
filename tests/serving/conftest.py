"""A server over real HTTP, with small models of every family that went through the disk."""

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

from features.landmark import Block, FeatureTable
from models.answer import Served
from models.bundle import Model, load_bundle, save_bundle
from models.calibration import Calibration, fit_venn_abers
from models.encoder import BlockEncoder
from models.families import FAMILIES
from models.reference import fit_reference
from serving.app import create_app
from serving.keys import Keys

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
        cohorts={"made_up": {"simulated": True}},
        notes=(),
    )


def model(family: str, outcome: str, blocks: tuple[str, ...], folder: Path) -> Model:
    data = table()
    encoder = BlockEncoder(blocks)
    X = encoder.fit_transform(data)
    taxa = data.taxa.values
    y = (taxa[:, 0] + taxa[:, 1] > np.median(taxa[:, 0] + taxa[:, 1])).astype(float)
    chosen = FAMILIES[family]
    evidence = {
        "beats_chance": None,
        "sentence": "one cohort only: nothing was left out to test it on",
        "clocks": ["day_ici"],
        "landmark": 0.0,
        "simulated": True,
        "left_out_auroc": {"value": 0.7, "low": 0.5, "high": 0.9},
        "cohorts": ["made_up"],
        "patients": len(data),
        "events": int(y.sum()),
        "odds_ratios": [
            {"response": outcome, "toxicity": "toxicity_any", "patients": 140, "value": 1.4, "low": 0.7, "high": 2.8}
        ]
        if outcome == "objective_response"
        else [],
    }
    fitted = Model(
        outcome,
        family,
        encoder,
        chosen.fit(X, y, np.zeros(len(X), dtype=np.intp), chosen.settings[-1], seed=1),
        Calibration(0.8, -0.1, fit_venn_abers(data.taxa.values[:, 0], y) if family == "xgboost" else None),
        {name: data.units[name] for name in data.immune.names} if "immune" in blocks else {},
        (PROFILER,),
        evidence,
        "# Card\n",
        fit_reference(taxa, data.taxa.names, ["made_up"] * len(data), {outcome: y}),
        {"per_cohort": []},
        "<!doctype html><title>Card</title>" if family == "xgboost" else "",
    )
    save_bundle(fitted, folder)
    return load_bundle(folder)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Served]]:
    plan = [
        ("objective_response", "xgboost", ("taxa",)),
        ("disease_control", "random_forest", ("taxa",)),
        ("toxicity_any", "elastic_net", ("taxa", "immune", "clinical")),
        ("toxicity_any", "elastic_net", ("taxa",)),
    ]
    found: dict[str, list[Served]] = {}
    root = tmp_path_factory.mktemp("bundles")
    for i, (outcome, family, blocks) in enumerate(plan):
        served = Served(model(family, outcome, blocks, root / str(i)), outcome, str(i), f"run{i}", "candidate")
        found.setdefault(outcome, []).append(served)
    return found


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Keys]:
    return Keys.make(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def address(models: dict[str, list[Served]], made: tuple[str, Keys]) -> Iterator[str]:
    with running(create_app(models, made[1])) as url:
        yield url


@pytest.fixture(scope="session")
def client(address: str, made: tuple[str, Keys]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {made[0]}"}, timeout=30) as http:
        yield http


@pytest.fixture
def candidate() -> dict[str, object]:
    data = table()
    return {
        "patient": {"id": "c1", "age": 61, "sex": "female"},
        "taxa": {
            "profiler": PROFILER,
            "unit": "proportions",
            "day": -3,
            "clock": "day_ici",
            "values": {
                f"s__{name.replace('_', ' ')}": float(value)
                for name, value in zip(data.taxa.names, data.taxa.values[3], strict=True)
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
