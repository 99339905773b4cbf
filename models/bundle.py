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
`signature.json`      if the trainer signed it: the signature of `hashes.json`
====================  ====================================================================================

A bundle contains no pickle, and loading refuses a folder with any other file. Evidence and validation record follow
`models.evidence`; `models.evidence_upgrade` reads those of former protocols, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import JsonValue, TypeAdapter

from features.errors import BundleError
from features.outcomes import OUTCOME_IDS
from models.calibration import Calibration
from models.encoder import BlockEncoder, EncoderState, Feature, missing_value
from models.evidence import Documented, Evidence, TrainingPopulation, Validation
from models.evidence_upgrade import (
    Json,
    upgrade_evidence,
    upgrade_protocol_3_evidence,
    upgrade_protocol_3_validation,
    upgrade_protocol_4_evidence,
    upgrade_protocol_4_validation,
    upgrade_validation,
)
from models.families import FAMILIES, LinearPredictor, Predictor, TreePredictor
from models.hashed_folder import (
    folder_digest,
    json_bytes,
    npz_bytes,
    parse_json,
    read_arrays,
    read_hashed,
    write_hashed,
)
from models.patient_input import Candidate, ModelInput, to_model_input
from models.reference import ReferenceSet, ReferenceState

PROTOCOL = 5
_SINCE_2 = {"reference.npz", "validation.json", "card.html"}
_ALLOWED = {"bundle.json", "linear.npz", "trees.ubj", "card.md"} | _SINCE_2
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
    population : TrainingPopulation or None
        Disease and treatment of the training patients; None in bundles older than this record.
    digest : str
        SHA-256 of the list of hashes of the bundle's files, in hexadecimal; empty before the model is saved.
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
    population: TrainingPopulation | None = None
    digest: str = ""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks the model uses."""
        return tuple(self.encoder.blocks)

    @cached_property
    def explained_units(self) -> list[str | None]:
        """Unit of each feature that a prediction is explained by; None without one, and where it is of several."""
        return [self._unit(feature) for feature in self.encoder.explained_]

    def _unit(self, feature: Feature) -> str | None:
        if feature.source < 0 or feature.block not in {"taxa", "immune"}:
            return None
        unit = "proportion" if feature.block == "taxa" else self.units[feature.name]
        return None if unit == "unstated" else unit

    def model_input(self, candidate: Candidate) -> ModelInput:
        """Return what the model reads of a candidate, by its landmark; see `models.patient_input.to_model_input`."""
        return to_model_input(candidate, self.encoder, self.units, self.evidence.landmark, self.evidence.window)

    @property
    def simulated(self) -> bool:
        """Whether the training data were simulated."""
        return self.evidence.simulated


@dataclass(frozen=True)
class BundleDescription(Documented):
    """Content of `bundle.json`."""

    protocol: int
    """Version of the format."""
    outcome: str
    """Id of the outcome."""
    family: str
    """Family of classifiers."""
    calibration: Calibration
    """Calibration of the log-odds."""
    units: dict[str, str]
    """Unit of each immune measurement."""
    profilers: tuple[str, ...]
    """Profilers of the training cohorts."""
    evidence: JsonValue
    """Evidence; since protocol 3 that of `models.evidence`, whose field names may change with the protocol."""
    encoder: EncoderState
    """Fitted encoder."""
    reference: ReferenceState | None = None
    """Training reference set; null without taxa, missing in protocol 1."""
    population: TrainingPopulation | None = None
    """Disease and treatment of the training patients; missing in bundles older than this record."""


@cache
def _description_adapter() -> TypeAdapter[BundleDescription]:
    return TypeAdapter(BundleDescription)


def save_bundle(model: Model, folder: Path) -> None:
    """Write a model into a new folder.

    Raises
    ------
    FileExistsError
        The folder exists.
    ValueError
        A number is NaN or infinite; nothing was written.
    """
    description = BundleDescription(
        protocol=PROTOCOL,
        outcome=model.outcome,
        family=model.family,
        calibration=model.calibration,
        units=model.units,
        profilers=model.profilers,
        evidence=model.evidence.to_json(),
        encoder=model.encoder.state(),
        reference=model.reference.state() if model.reference else None,
        population=model.population,
    )
    contents = {
        "card.md": model.card.encode(),
        "card.html": model.card_html.encode(),
        "validation.json": json_bytes(model.validation.to_json() if model.validation else None),
        "bundle.json": json_bytes(_description_adapter().dump_python(description, mode="json")),
        **_predictor_file(model.predictor),
    }
    if model.reference is not None:
        contents["reference.npz"] = npz_bytes(**model.reference.arrays())
    write_hashed(contents, folder)


def load_bundle(folder: Path) -> Model:
    """Check a bundle and read it.

    Raises
    ------
    BundleError
        The folder contains anything but a bundle's files, a hash does not match, or the protocol is unknown.
    """
    contents = read_hashed(folder, _ALLOWED)
    try:
        content = cast(Json, parse_json(contents["bundle.json"]))
        protocol = content["protocol"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{folder}/bundle.json does not name its protocol: {error}") from error
    if protocol not in range(1, PROTOCOL + 1):
        raise BundleError(f"{folder} is a bundle of protocol {protocol!r}; this Taxokine reads 1 to {PROTOCOL}")
    if protocol == 1 and (unexpected := contents.keys() & _SINCE_2):
        raise BundleError(
            f"{folder} contains files that a bundle of protocol 1 may not contain: {', '.join(sorted(unexpected))}"
        )
    try:
        model = _model(_description_adapter().validate_json(contents["bundle.json"], strict=True), contents)
        return replace(model, digest=folder_digest(folder))
    # The hashes of a file match whatever its content is: any error below is an error of the bundle.
    except Exception as error:
        raise BundleError(f"{folder} is not a bundle of protocol {protocol}: {error!r}") from error


def _model(description: BundleDescription, contents: Mapping[str, bytes]) -> Model:
    """Return the model of checked contents; whatever is wrong with them raises some exception."""
    family = _FORMER_FAMILIES.get(description.family, description.family)
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}")
    if description.outcome not in OUTCOME_IDS:
        raise ValueError(f"unknown outcome {description.outcome!r}")
    encoder = BlockEncoder.from_state(description.encoder)
    since_2 = description.protocol > 1
    evidence, validation = _evidence(description, family, contents)
    model = Model(
        outcome=description.outcome,
        family=family,
        encoder=encoder,
        predictor=_predictor(contents),
        calibration=description.calibration,
        units=description.units,
        profilers=description.profilers,
        evidence=evidence,
        card=contents["card.md"].decode(),
        reference=_reference(encoder, description.reference, contents) if since_2 else None,
        validation=validation,
        card_html=contents["card.html"].decode() if since_2 else "",
        population=description.population,
    )
    _check_parts_fit(model)
    return model


def _evidence(
    description: BundleDescription, family: str, contents: Mapping[str, bytes]
) -> tuple[Evidence, Validation | None]:
    record = cast(Json | None, parse_json(contents["validation.json"])) if description.protocol > 1 else None
    if description.protocol < 3:
        evidence = upgrade_evidence(description.evidence, description.outcome)  # type: ignore[arg-type]
        return evidence, upgrade_validation(record or {}, evidence, family)
    if description.protocol == 3:
        evidence = upgrade_protocol_3_evidence(description.evidence)  # type: ignore[arg-type]
        return evidence, None if record is None else upgrade_protocol_3_validation(record)
    if description.protocol == 4:
        evidence = upgrade_protocol_4_evidence(description.evidence)  # type: ignore[arg-type]
        return evidence, None if record is None else upgrade_protocol_4_validation(record)
    return Evidence.from_json(description.evidence), None if record is None else Validation.from_json(record)


def _reference(
    encoder: BlockEncoder, state: ReferenceState | None, contents: Mapping[str, bytes]
) -> ReferenceSet | None:
    if (state is not None) != ("reference.npz" in contents):
        raise ValueError("a training reference set needs its description and its arrays; one of them is missing")
    if state is None:
        return None
    arrays = read_arrays("reference.npz", contents["reference.npz"])
    return ReferenceSet.from_state(encoder.names_["taxa"], state, arrays)


def _predictor(contents: Mapping[str, bytes]) -> Predictor:
    if "trees.ubj" in contents:
        return TreePredictor.from_ubj(contents["trees.ubj"])
    arrays = read_arrays("linear.npz", contents["linear.npz"])
    return LinearPredictor(
        float(arrays["intercept"]), *(np.asarray(arrays[name], np.float64) for name in ("coef", "mean"))
    )


def _predictor_file(predictor: Predictor) -> dict[str, bytes]:
    if isinstance(predictor, TreePredictor):
        return {"trees.ubj": predictor.ubj()}
    if isinstance(predictor, LinearPredictor):
        intercept = np.array(predictor.intercept)
        return {"linear.npz": npz_bytes(intercept=intercept, coef=predictor.coef, mean=predictor.mean)}
    raise TypeError(f"a bundle cannot keep a {type(predictor).__name__}")


def _check_parts_fit(model: Model) -> None:
    """Raise unless encoder, predictor and calibration together predict for a patient without measurements."""
    unmeasured = {
        name: np.full((1, len(columns)), missing_value(name)) for name, columns in model.encoder.names_.items()
    }
    encoded = model.encoder.encode(unmeasured)
    # XGBoost ends the whole process where the numbers of columns differ.
    if not encoded.shape[1] == len(model.encoder.features_) == model.predictor.n_features:
        raise ValueError(f"the encoder has {encoded.shape[1]} features, the predictor {model.predictor.n_features}")
    shap, base_value = model.predictor.contributions(encoded)
    margin = base_value + shap.sum()
    if not np.isfinite([margin, model.calibration.probability(margin)]).all():
        raise ValueError("its parameters are not finite")
