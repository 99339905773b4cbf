"""The bundle of an engraftment model: JSON and arrays with their hashes, checked before they are read.

====================  ============================================================================================
`engraftment.json`    protocol, method, taxa, regressions, evidence
`engraftment.npz`     the training recipients after, averaged, and each training transplant with its held-out prediction
`card.md`             the model card
`signature.json`      if the trainer signed it: the signature of `hashes.json`
`hashes.json`         SHA-256 of each of the others
====================  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from features.arrays import Matrix
from features.errors import BundleError
from models.engraftment.evidence import EngraftmentEvidence
from models.engraftment.model import EngraftmentModel, ExpectedProfile, LinearScore, Method, OtherRecipients
from models.evidence import Documented
from models.hashed_folder import json_bytes, npz_bytes, read_arrays, read_hashed, write_hashed

PROTOCOL = 1
_ALLOWED = {"engraftment.json", "engraftment.npz", "card.md"}
_EXPECTED = ("proportion", "log_proportion", "presence", "location")


@dataclass(frozen=True)
class HeldOutTransplants:
    """The training transplants, each predicted by a model fitted without its recipient and its donor.

    They tell how far an outcome model's log-odds lie from those of the profile that was observed.

    Attributes
    ----------
    stool_after : ndarray, (n_transplants, n_taxa)
        Observed proportions.
    profiles : tuple of ExpectedProfile
    units : int
        Donors that were left out in turn; recipients where there were too few donors.
    """

    stool_after: Matrix
    profiles: tuple[ExpectedProfile, ...]
    units: int


@dataclass(frozen=True)
class EngraftmentBundle:
    """A trained engraftment model with its evidence.

    Attributes
    ----------
    model : EngraftmentModel
    evidence : EngraftmentEvidence
    held_out : HeldOutTransplants
        With donors left out; with recipients left out where there were too few donors.
    card : str
    """

    model: EngraftmentModel
    evidence: EngraftmentEvidence
    held_out: HeldOutTransplants
    card: str


@dataclass(frozen=True)
class EngraftmentDescription(Documented):
    """Content of `engraftment.json`."""

    protocol: int
    """Version of the format."""
    method: Method
    """What predicts."""
    taxa: tuple[str, ...]
    """Taxa of the profiles."""
    floor: float
    """Smallest proportion of which a logarithm is taken."""
    presence: LinearScore
    """Log-odds of presence."""
    abundance: LinearScore
    """Mean log-proportion where present."""
    scale: float
    """SD of the log-proportion where present."""
    evidence: EngraftmentEvidence
    """Training transplants and accuracy."""


@cache
def _adapter() -> TypeAdapter[EngraftmentDescription]:
    return TypeAdapter(EngraftmentDescription)


def save_engraftment(bundle: EngraftmentBundle, folder: Path) -> None:
    """Write a bundle into a new folder.

    Raises
    ------
    FileExistsError
        The folder exists.
    ValueError
        A number is NaN or infinite; nothing was written.
    """
    model = bundle.model
    description = EngraftmentDescription(
        protocol=PROTOCOL,
        method=model.method,
        taxa=model.taxa,
        floor=model.floor,
        presence=model.presence,
        abundance=model.abundance,
        scale=model.scale,
        evidence=bundle.evidence,
    )
    profiles = bundle.held_out.profiles
    arrays = {f"expected_{name}": np.array([getattr(profile, name) for profile in profiles]) for name in _EXPECTED}
    arrays["expected_scale"] = np.array([profile.scale for profile in profiles])
    arrays |= {f"others_{name}": values for name, values in vars(model.other_recipients).items()}
    contents = {
        "engraftment.json": json_bytes(_adapter().dump_python(description, mode="json")),
        "engraftment.npz": npz_bytes(stool_after=bundle.held_out.stool_after, **arrays),
        "card.md": bundle.card.encode(),
    }
    write_hashed(contents, folder)


def load_engraftment(folder: Path) -> EngraftmentBundle:
    """Check a bundle and read it.

    Raises
    ------
    BundleError
        The folder contains anything but a bundle's files, a hash does not match, or the content is not a bundle's.
    """
    contents = read_hashed(folder, _ALLOWED)
    try:
        return _bundle(contents)
    # The hashes of a file match whatever its content is: any error below is an error of the bundle.
    except Exception as error:
        raise BundleError(f"{folder} is not an engraftment bundle of protocol {PROTOCOL}: {error!r}") from error


def _bundle(contents: Mapping[str, bytes]) -> EngraftmentBundle:
    """Return the bundle of checked contents; whatever is wrong with them raises some exception."""
    description = _adapter().validate_json(contents["engraftment.json"], strict=True)
    if description.protocol != PROTOCOL:
        raise ValueError(f"protocol {description.protocol!r}; this Taxokine reads {PROTOCOL}")
    archive = read_arrays("engraftment.npz", contents["engraftment.npz"])
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in archive.items()}
    shape = arrays["stool_after"].shape
    model = EngraftmentModel(
        method=description.method,
        taxa=description.taxa,
        floor=description.floor,
        presence=description.presence,
        abundance=description.abundance,
        scale=description.scale,
        other_recipients=OtherRecipients(
            *(arrays[f"others_{name}"] for name in ("proportion", "log_proportion", "prevalence"))
        ),
    )
    columns = (arrays[f"expected_{name}"] for name in _EXPECTED)
    rows = zip(*columns, arrays["expected_scale"].tolist(), strict=True)
    profiles = tuple(ExpectedProfile(*row) for row in rows)
    if shape != (description.evidence.transplants, len(model.taxa)) or len(profiles) != len(arrays["stool_after"]):
        raise ValueError(f"{shape} profiles for {description.evidence.transplants} transplants")
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise ValueError("its numbers are not finite")
    # A model whose parts do not fit each other fails here, and not at a patient's question.
    model.expect(arrays["stool_after"][0], arrays["stool_after"][0])
    return EngraftmentBundle(
        model,
        description.evidence,
        HeldOutTransplants(arrays["stool_after"], profiles, description.evidence.validations[-1].units),
        contents["card.md"].decode(),
    )
