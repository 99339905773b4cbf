"""The engraftment model: what a recipient's stool becomes after a transplant from a donor."""

from models.engraftment.bundle import EngraftmentBundle, HeldOutTransplants, load_engraftment, save_engraftment
from models.engraftment.evidence import EngraftmentEvidence, EngraftmentValidation, MethodAccuracy
from models.engraftment.model import BASELINES, EngraftmentModel, ExpectedProfile, expect_by_name

__all__ = [
    "BASELINES",
    "EngraftmentBundle",
    "EngraftmentEvidence",
    "EngraftmentModel",
    "EngraftmentValidation",
    "ExpectedProfile",
    "HeldOutTransplants",
    "MethodAccuracy",
    "expect_by_name",
    "load_engraftment",
    "save_engraftment",
]
