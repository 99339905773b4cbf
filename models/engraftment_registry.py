"""The registry of engraftment models: one registered model, of which the candidate is served."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from features.errors import ModelMissing
from models.engraftment import EngraftmentBundle, load_engraftment, save_engraftment
from models.registration import current_aliases, stage_version, take_effect
from models.registry import (
    LoggedColumn,
    ServedVersion,
    client,
    download_bundle,
    ensure_registered_model,
    log_folder,
    missing_model,
    served_version,
)

ENGRAFTMENT = "engraftment"
"""Name of the registered engraftment model."""


class ServedEngraftment(NamedTuple):
    """An engraftment model with its version in the registry; "" for a bundle outside it."""

    bundle: EngraftmentBundle
    version: str


def log_engraftment(bundle: EngraftmentBundle) -> str:
    """Log an engraftment model's bundle as an MLflow model of the active run, and return its URI.

    An input row has the profiles `before` and `donor`, each a mapping of taxa to proportions.
    """
    import pandas as pd

    profile = dict.fromkeys(bundle.model.taxa[:10], 0.1)
    return log_folder(
        ENGRAFTMENT,
        partial(save_engraftment, bundle),
        inputs=[LoggedColumn("before", "mapping"), LoggedColumn("donor", "mapping")],
        outputs=[LoggedColumn("expected", "mapping"), LoggedColumn("presence", "mapping")],
        example=pd.DataFrame([{"before": profile, "donor": profile}]),
        metadata={"simulated": bundle.evidence.simulated},
    )


def register_engraftment(uri: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Register an engraftment model as the candidate, and return its version."""
    ensure_registered_model(ENGRAFTMENT, {}, "Stool after a transplant, from the recipient's and the donor's")
    store = client()
    version = stage_version(store, ENGRAFTMENT, uri, run_id, tags)
    take_effect(store, ENGRAFTMENT, {"candidate": version})
    return version


def find_engraftment(reference: str = "") -> ServedEngraftment:
    """Load an engraftment model from a folder, or a registered version; by default the candidate.

    Raises
    ------
    ModelMissing, BundleError
    """
    path = Path(reference)
    if reference and path.is_dir():
        bundle = path / "artifacts" / "bundle"
        return ServedEngraftment(load_engraftment(bundle if bundle.is_dir() else path), "")
    version = reference.removeprefix(f"{ENGRAFTMENT}/") or _candidate_version()
    with tempfile.TemporaryDirectory() as folder:
        return ServedEngraftment(load_engraftment(download_bundle(ENGRAFTMENT, version, Path(folder))), version)


def engraftment_version() -> ServedVersion | None:
    """Return the engraftment model that is the candidate, without loading it; None where there is none.

    Raises
    ------
    ModelMissing
        The store does not respond.
    """
    with missing_model("the engraftment model cannot be looked up"):
        if not any(model.name == ENGRAFTMENT for model in client().search_registered_models()):
            return None
        version = current_aliases(client(), ENGRAFTMENT).get("candidate")
        return None if version is None else served_version("", ENGRAFTMENT, version, "candidate")


def _candidate_version() -> str:
    """Return the version of the engraftment model that is the candidate.

    Raises
    ------
    ModelMissing
        There is none, or the store does not respond.
    """
    with missing_model("no engraftment model 'candidate' ('taxokine engraftment train COHORT' registers one)"):
        aliases = current_aliases(client(), ENGRAFTMENT)
        if "candidate" not in aliases:
            raise ModelMissing(
                "no engraftment model is the candidate; 'taxokine engraftment train COHORT' registers one"
            )
        return aliases["candidate"]
