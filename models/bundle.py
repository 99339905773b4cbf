"""The bundle: a trained model as a folder of JSON, arrays and XGBoost's UBJ, checked before it is read.

====================  ====================================================================================
`bundle.json`         protocol, outcome, family, encoder, calibration, units, profilers, evidence
`linear.npz`          a linear family's arrays
`trees.ubj`           a tree family's ensemble
`card.md`             the model card
`hashes.json`         SHA-256 of each of the others
`reference.npz`       since protocol 2, if the model reads taxa: the training reference set
`validation.json`     since protocol 2: the validation record
`card.html`           since protocol 2: the model card as one page that needs no other file
====================  ====================================================================================

A bundle contains no pickle, and loading refuses a folder with any other file. Evidence and validation record follow
`models.evidence` since protocol 3; `models.evidence_upgrade` reads those of protocols 1 and 2, for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import BundleError
from features.outcomes import OUTCOME_IDS
from models.calibration import Calibration
from models.encoder import BlockEncoder, absent
from models.evidence import Evidence, Validation
from models.evidence_upgrade import upgrade_evidence, upgrade_validation
from models.families import FAMILIES, LinearPredictor, Predictor, TreePredictor
from models.reference import ReferenceSet

PROTOCOL = 3
_SINCE_2 = {"reference.npz", "validation.json", "card.html"}
_ALLOWED = {"bundle.json", "linear.npz", "trees.ubj", "card.md", "hashes.json"} | _SINCE_2
_LARGEST = 512 * 2**20
_FORMER_FAMILIES = {"random_forest": "xgboost_forest"}
"""Families by the names under which older bundles were written."""


@dataclass(frozen=True)
class Model:
    """A trained model, with all that its predictions report.

    Attributes
    ----------
    outcome : str
        An id of `features.outcomes.OUTCOME_IDS`.
    family : str
        A name of `models.families.FAMILIES`.
    encoder : BlockEncoder
        Fitted.
    predictor : Predictor
        Fitted.
    calibration : Calibration
        Fitted to held-out log-odds.
    units : dict of str to str
        Unit of each immune measurement.
    profilers : tuple of str
        The profilers of the training cohorts.
    evidence : Evidence
        Summary that every prediction repeats.
    card : str
        The model card, in Markdown.
    reference : ReferenceSet or None
        Training reference set, whose `taxa` are the encoder's; None without the taxa block, and in protocol 1.
    validation : Validation or None
        Validation record; None in protocol 1.
    card_html : str
        The model card as a page; empty in protocol 1.
    """

    outcome: str
    family: str
    encoder: BlockEncoder
    predictor: Predictor
    calibration: Calibration
    units: dict[str, str]
    profilers: tuple[str, ...]
    evidence: Evidence
    card: str
    reference: ReferenceSet | None = None
    validation: Validation | None = None
    card_html: str = ""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks the model uses."""
        return tuple(self.encoder.blocks)

    @property
    def simulated(self) -> bool:
        """Whether the training data were simulated."""
        return self.evidence.simulated


def save_bundle(model: Model, folder: Path) -> None:
    """Write a model into a new folder.

    Raises
    ------
    FileExistsError
        The folder exists.
    ValueError
        A number is NaN or infinite; nothing was written.
    """
    contents = {
        "card.md": model.card.encode(),
        "card.html": model.card_html.encode(),
        "validation.json": _json(model.validation and model.validation.to_json()),
    }
    if isinstance(model.predictor, LinearPredictor):
        predictor = model.predictor
        contents["linear.npz"] = _npz(intercept=predictor.intercept, coef=predictor.coef, mean=predictor.mean)
    elif isinstance(model.predictor, TreePredictor):
        contents["trees.ubj"] = model.predictor.ubj()
    else:
        raise TypeError(f"a bundle cannot keep a {type(model.predictor).__name__}")
    if model.reference is not None:
        contents["reference.npz"] = _npz(**model.reference.arrays())
    about = {
        "protocol": PROTOCOL,
        "outcome": model.outcome,
        "family": model.family,
        "calibration": model.calibration.state(),
        "reference": model.reference and model.reference.state(),
        "units": model.units,
        "profilers": model.profilers,
        "evidence": model.evidence.to_json(),
        "encoder": model.encoder.state(),
    }
    contents["bundle.json"] = _json(about)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents["hashes.json"] = _json(hashes)
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def load_bundle(folder: Path) -> Model:
    """Check a bundle and read it.

    Raises
    ------
    BundleError
        The folder holds anything but a bundle's files, a hash does not match, or the protocol is unknown.
    """
    contents = _checked_contents(folder)
    try:
        about = json.loads(contents["bundle.json"], parse_constant=_no_number)
        protocol = about["protocol"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{folder}/bundle.json does not name its protocol: {error}") from error
    if protocol not in range(1, PROTOCOL + 1):
        raise BundleError(f"{folder} is a bundle of protocol {protocol!r}; this Taxokine reads 1 to {PROTOCOL}")
    if protocol == 1 and (strange := contents.keys() & _SINCE_2):
        raise BundleError(f"{folder} holds what a bundle of protocol 1 may not: {', '.join(sorted(strange))}")
    try:
        family = _FORMER_FAMILIES.get(about["family"], about["family"])
        if family not in FAMILIES:
            raise ValueError(f"unknown family {family!r}")
        if about["outcome"] not in OUTCOME_IDS:
            raise ValueError(f"unknown outcome {about['outcome']!r}")
        encoder = BlockEncoder.from_state(about["encoder"])
        evidence, validation = _evidence(protocol, about, family, contents)
        model = Model(
            outcome=about["outcome"],
            family=family,
            encoder=encoder,
            predictor=_predictor(contents),
            calibration=Calibration.from_state(about["calibration"]),
            units=about["units"],
            profilers=tuple(about["profilers"]),
            evidence=evidence,
            card=contents["card.md"].decode(),
            reference=_reference(encoder, about["reference"], contents) if protocol > 1 else None,
            validation=validation,
            card_html=contents["card.html"].decode() if protocol > 1 else "",
        )
        _check_parts_fit(model)
        return model
    # Files whose hashes match can still say anything; whatever trips over them, the bundle is to blame.
    except Exception as error:
        raise BundleError(f"{folder} is not a bundle of protocol {protocol}: {error!r}") from error


def _checked_contents(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder")
    names = {path.name for path in folder.iterdir()}
    if strange := names - _ALLOWED:
        raise BundleError(f"{folder} holds what a bundle may not: {', '.join(sorted(strange))}; it was not read")
    contents = {}
    for name in names:
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            raise BundleError(f"{path} is not a plain file of a bundle's size; it was not read")
        contents[name] = path.read_bytes()
    try:
        hashes: Mapping[str, str] = json.loads(contents.pop("hashes.json"))
    except (KeyError, ValueError, RecursionError) as error:
        raise BundleError(f"{folder}/hashes.json is missing or damaged: {error}") from error
    if not isinstance(hashes, dict) or hashes.keys() != contents.keys():
        raise BundleError(f"{folder}: hashes.json and the files do not name the same contents; it was not read")
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise BundleError(f"{folder}/{name} has changed since the bundle was written; it was not read")
    return contents


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check_parts_fit(model: Model) -> None:
    """Raise unless encoder, predictor and calibration together say something of a patient without measurements."""
    unmeasured = {name: np.full((1, len(columns)), absent(name)) for name, columns in model.encoder.names_.items()}
    encoded = model.encoder.encode(unmeasured)
    # XGBoost ends the whole process where the numbers of columns differ.
    if not encoded.shape[1] == len(model.encoder.features_) == model.predictor.n_features:
        raise ValueError(f"{encoded.shape[1]} features are encoded, the predictor reads {model.predictor.n_features}")
    shap, base = model.predictor.contributions(encoded)
    margin = base + shap.sum()
    if not np.isfinite([margin, model.calibration.probability(margin)]).all():
        raise ValueError("its parameters are not finite")


def _evidence(
    protocol: int, about: Mapping[str, Any], family: str, contents: Mapping[str, bytes]
) -> tuple[Evidence, Validation | None]:
    record = json.loads(contents["validation.json"], parse_constant=_no_number) if protocol > 1 else None
    if protocol < 3:
        evidence = upgrade_evidence(about["evidence"], about["outcome"])
        return evidence, upgrade_validation(record or {}, evidence, family)
    return Evidence.from_json(about["evidence"]), None if record is None else Validation.from_json(record)


def _reference(
    encoder: BlockEncoder, state: Mapping[str, Any] | None, contents: Mapping[str, bytes]
) -> ReferenceSet | None:
    if (state is not None) != ("reference.npz" in contents):
        raise ValueError("a reference cloud is both described and kept as arrays, or neither")
    if state is None:
        return None
    with np.load(BytesIO(contents["reference.npz"]), allow_pickle=False) as arrays:
        return ReferenceSet.from_state(encoder.names_["taxa"], state, arrays)


def _json(content: object) -> bytes:
    return json.dumps(content, allow_nan=False, indent=1).encode()


def _npz(**arrays: Any) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _predictor(contents: Mapping[str, bytes]) -> Predictor:
    if "trees.ubj" in contents:
        return TreePredictor.from_ubj(contents["trees.ubj"])
    with np.load(BytesIO(contents["linear.npz"]), allow_pickle=False) as arrays:
        return LinearPredictor(float(arrays["intercept"]), arrays["coef"], arrays["mean"])
