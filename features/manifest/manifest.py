"""The manifest of a cohort: its files, and the meaning of their columns and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from features.manifest.base import CellTexts, ManifestPart
from features.manifest.course import TrialCourse
from features.manifest.outcomes import Events, Outcomes
from features.manifest.population import ManifestPopulation, PopulationColumn
from features.manifest.source import Source, SourceFile
from features.manifest.tables import Arms, Clock, Immune, Patients, Samples, Taxa, Technical


@dataclass(frozen=True)
class Origin:
    """The origin of a manifest.

    Attributes
    ----------
    folder : Path or None
        The folder of its file, where the manifest was given as a path.
    hints : tuple of str
        What to change in its file.
    unfinished : tuple of str
        The keys whose value is still TODO, each with its line.
    unconfirmed : tuple of str
        The lines in which a comment of a draft asks something.
    """

    folder: Path | None = None
    hints: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()


class Manifest(ManifestPart):
    """One cohort: its files, and the meaning of their columns and values."""

    manifest_version: Literal[2] = 2
    """The version of the manifest's keys."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """The name of the cohort: letters, digits, `-` and `_`."""
    title: str
    """First author and year, cancer, treatment."""
    simulated: bool = False
    """Whether the data were simulated; every table, model and prediction made from them says so."""
    same_patients_as: CellTexts = ()
    """Cohorts that hold the same patients under other names, and are never pooled with this one."""
    source: Source
    """The publication."""
    clock: Clock
    """The clock that counts every day."""
    taxa: Taxa
    """The taxa table."""
    samples: Samples
    """The samples' sheet."""
    technical: Mapping[str, Technical] = {}
    """How samples were measured, such as `reads` or `kit`; for audits and for a baseline, never features."""
    patients: Patients | None = None
    """The patients' sheet."""
    population: ManifestPopulation = ManifestPopulation()
    """Tumour type, line of treatment and class of drugs: who may be predicted by a model of this cohort."""
    immune: Immune | None = None
    """The table of immune measurements."""
    outcomes: Outcomes = Outcomes()
    """The outcomes."""
    course: TrialCourse = TrialCourse()
    """The course of the trial, which never becomes features."""
    exclude_columns: Mapping[str, str] = {}
    """Columns that may not become features, each with the reason, such as "recorded because of the outcome"."""
    notes: CellTexts = ()
    """What a user of the cohort must know."""
    _origin: Origin = PrivateAttr(default=Origin())

    def model_post_init(self, context: Origin | None) -> None:
        """Keep where the manifest was read from, the context of the validation."""
        if context is not None:
            self._origin = context

    @property
    def folder(self) -> Path | None:
        """The folder in which the files lie, of a manifest that was given as a path."""
        return self._origin.folder

    @property
    def hints(self) -> tuple[str, ...]:
        """What to change in the manifest's file, which is read all the same."""
        return self._origin.hints

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The keys whose value a draft left as TODO, each with its line, as in 'line 4: title'."""
        return self._origin.unfinished

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """The lines in which a comment of a draft still asks something, as in 'line 8'."""
        return self._origin.unconfirmed

    @model_validator(mode="after")
    def _check_no_covariate_is_excluded(self) -> Self:
        excluded = {
            **{field.column: f"it is technical.{name}" for name, field in self.technical.items()},
            **{column: f"it encodes outcomes.{key}" for column, key in self.outcomes.outcome_columns.items()},
            **self.exclude_columns,
        }
        for name, field in (self.patients.covariates if self.patients else {}).items():
            if field.column in excluded:
                raise ValueError(
                    f"patients.covariates.{name} takes column {field.column!r}, which may not become a feature: "
                    f"{excluded[field.column]}"
                )
        return self

    @model_validator(mode="after")
    def _check_outcomes_have_patients(self) -> Self:
        if self.patients is None and self.outcomes != Outcomes():
            raise ValueError("outcomes need 'patients', the sheet that lists the patients; add it")
        return self

    @model_validator(mode="after")
    def _check_population_columns_have_patients(self) -> Self:
        columns = [field for field, value in self.population if isinstance(value, PopulationColumn)]
        if self.patients is None and columns:
            raise ValueError(f"population.{columns[0]} names a column of 'patients', the patients' sheet; add it")
        return self

    @model_validator(mode="after")
    def _check_visits_have_an_order(self) -> Self:
        if self.immune and self.immune.visit and not self.immune.day and not self.samples.visit:
            raise ValueError("immune.visit needs samples.visit, to tell a blood draw from a later one; add it")
        return self

    @property
    def arms(self) -> Arms | None:
        """The arms of a trial; None where no key states them."""
        return None if self.patients is None else self.patients.arms

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """Every file that the manifest names, with its address and SHA-256 where it is published."""
        published_files = {file.name: file for file in self.source.files}
        names = [self.taxa.file, self.taxa.taxonomy, self.samples.file]
        names += [self.samples.lookup.file] if self.samples.lookup else []
        names += [part.file for part in (self.patients, self.immune) if part is not None]
        if isinstance(self.outcomes.toxicity, Events):
            names.append(self.outcomes.toxicity.events)
        names += self.course.files
        return tuple(published_files.get(name, SourceFile(name=name)) for name in dict.fromkeys(names) if name)
