"""The form of an upload: its files, and what the user states where the files do not report it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

from features.columns import BLOCKS, levels_by_field
from features.outcomes import side_of
from features.population import NOT_REPORTED, POPULATION_FIELDS, Population
from features.units import ImmuneUnit, TaxaUnit
from models.predict import ServedModel

Field = Literal["taxa", "taxonomy", "immune", "clinical"]

DESCRIPTIONS: Mapping[Field, str] = {
    "taxa": "a stool profile: taxa by samples, each taxon once, in one unit",
    "taxonomy": "the taxonomy of a feature table",
    "immune": "a table of immune measurements: one blood draw, each analyte once, with its unit",
    "clinical": "a clinical table: one row, a column for each field",
}
"""What each field takes."""


@dataclass(frozen=True)
class Form:
    """What the user states besides the files.

    Attributes
    ----------
    patient : str, optional
        Name of the patient on the page of the prediction; by default, the sample and the file name it.
    sample : str, optional
        Sample to use, of a stool table that has several.
    profiler : str, optional
        Profiler and its database, where the file does not report it.
    taxa_unit : {'counts', 'proportions', 'percent'}, optional
        Unit of the profile, where its numbers do not decide it; a unit that contradicts the numbers is a problem.
    immune_unit : str, optional
        Unit of the analytes for which the file reports none.
    day : float, optional
        Day of the stool sample and of the blood draw; a day in the immune table takes precedence.
    clock : str, optional
        Clock of the day.
    population : Population
        Tumour type, line of treatment and class of drugs.
    """

    patient: str | None = None
    sample: str | None = None
    profiler: str | None = None
    taxa_unit: TaxaUnit | None = None
    immune_unit: ImmuneUnit | None = None
    day: float | None = None
    clock: str | None = None
    population: Population = NOT_REPORTED


@dataclass(frozen=True)
class UploadChoices:
    """What the form offers: profilers, clocks and clinical fields of the served models, all units, all populations.

    `requiring_sides` are, by block, the sides (response, toxicity) every model of which reads it, and `sides` all that
    are served; `tumour_types` are those of the training patients.
    """

    profilers: tuple[str, ...]
    clocks: tuple[str, ...]
    fields: tuple[str, ...]
    taxa_units: tuple[str, ...]
    immune_units: tuple[str, ...]
    populations: Mapping[str, tuple[str, ...]]
    sides: tuple[str, ...]
    requiring_sides: Mapping[str, tuple[str, ...]]
    tumour_types: tuple[str, ...]

    @classmethod
    def from_models(cls, served_models: Sequence[ServedModel]) -> Self:
        """Return the choices that served models offer."""
        models = [served.model for served in served_models]
        blocks = _required_blocks(served_models)
        populations = (model.population for model in models if model.population is not None)
        tumour_types = (name for population in populations for name in population.tumour_type)
        clinical = (name for model in models for name in model.encoder.names_.get("clinical", ()))
        return cls(
            profilers=tuple(sorted({profiler for model in models for profiler in model.profilers})),
            clocks=tuple(sorted({clock for model in models for clock in model.evidence.clocks})),
            fields=tuple(levels_by_field(clinical)),
            taxa_units=get_args(TaxaUnit),
            immune_units=get_args(ImmuneUnit),
            populations=POPULATION_FIELDS,
            sides=tuple(blocks),
            requiring_sides={
                block: tuple(side for side, required_blocks in blocks.items() if block in required_blocks)
                for block in BLOCKS
            },
            tumour_types=tuple(dict.fromkeys(tumour_types)),
        )


def _required_blocks(served_models: Sequence[ServedModel]) -> dict[str, set[str]]:
    """Return the blocks that every model of a side reads, by side."""
    required: dict[str, set[str]] = {}
    for served in served_models:
        side, blocks = side_of(served.model.outcome), set(served.reference.blocks)
        required[side] = required.get(side, blocks) & blocks
    return required
