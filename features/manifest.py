"""Cohort manifests: a small YAML file that describes published tables as they are.

A manifest never reshapes a file. It names the files, the columns that matter, and what each value means; whatever it
does not explain is an error. `load_manifest` takes the name of a manifest that ships with Taxokine or a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from features.errors import ManifestError
from features.fetch import SourceFile

Tokens = Annotated[tuple[str, ...], BeforeValidator(lambda v: tuple(map(str, v)) if isinstance(v, list) else v)]
"""Values as they are written in a file; YAML numbers are taken as text."""

OUTCOMES = ("objective_response", "disease_control", "durable_benefit", "published_response", "toxicity")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where a cohort was published, and under which licence."""

    licence: str
    citation: str
    files: tuple[SourceFile, ...] = ()


class Clock(_Part):
    """The clock every day of the cohort belongs to.

    Attributes
    ----------
    name : str
        `day_ici` (0 at the first dose) or `day_fmt` (0 at the transplant), or the cohort's own.
    index : str
        The event at 0, in words.
    latest_sample : float, optional
        The last day whose samples may stand for this cohort's patients, whatever the landmark, in the clock's unit.
    because : str, optional
        Why `latest_sample` is set.
    """

    name: str
    index: str
    latest_sample: float | None = None
    because: str | None = None


class Taxa(_Part):
    """The stool profiles' table. See `features.taxa.read_taxa` for the formats."""

    file: str
    format: Literal["metaphlan", "biom", "qza", "table"]
    rank: Literal["kingdom", "phylum", "class", "order", "family", "genus", "species", "strain"] = "species"
    unit: Literal["counts", "proportions", "percent"]
    taxonomy: str | None = None
    prefix: str = ""
    samples_in: Literal["columns", "rows"] | None = None
    profiler: str | None = None


class Pattern(_Part):
    """A regular expression searched for in one column."""

    column: str
    pattern: str

    @model_validator(mode="after")
    def _compiles(self) -> Pattern:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is not a regular expression: {error}") from error
        return self


class Day(Pattern):
    """A day on the cohort's clock, taken from a column: the whole value, or the group named `day` of a pattern."""

    pattern: str = r"^(?P<day>.*)$"

    @model_validator(mode="after")
    def _names_day(self) -> Day:
        if "day" not in re.compile(self.pattern).groupindex:
            raise ValueError(f"{self.pattern!r} has no group named 'day', as in 'D(?P<day>-?[0-9]+)$'")
        return self


class Samples(_Part):
    """The sheet that says whose stool each profile is, and when it was taken.

    Attributes
    ----------
    sample, patient : str
        Columns that name the profile and the patient.
    separator : str, optional
        What parts several profile names in one cell; the one that has a profile is used.
    day : Day, optional
        Left out where the publication does not date its stool.
    baseline : str, optional
        Where nothing is dated: the publication's words for when the stool was taken.
    visit : str, optional
        Column of the visit's number.
    donor : Pattern, optional
        Rows that it matches are donors' stool, never patients.
    given : str, optional
        Column that names the donor sample a recipient was given.
    """

    file: str
    sample: str
    patient: str
    separator: str | None = None
    day: Day | None = None
    baseline: str | None = None
    visit: str | None = None
    donor: Pattern | None = None
    given: str | None = None

    @model_validator(mode="after")
    def _says_when(self) -> Samples:
        if self.day is None and self.baseline is None and self.visit is None:
            raise ValueError("say when stool was taken: 'day', 'visit', or the publication's words as 'baseline'")
        return self


class ClinicalField(_Part):
    """One clinical column: a number with its unit, or a category with each published value mapped to its meaning."""

    column: str
    unit: str | None = None
    values: Mapping[str, str | bool] | None = None
    missing: Tokens = ("", "NA")


class Patients(_Part):
    """The sheet of the patients' clinical data."""

    file: str
    patient: str
    centre: str | None = None
    keep: Mapping[str, ClinicalField] = {}


class Limits(_Part):
    """An assay's limits of quantification for one analyte, in the table's unit."""

    lloq: float | None = None
    uloq: float | None = None


class Immune(_Part):
    """The immune measurements' table. See `features.immune.read_immune` for layouts, units and codes."""

    file: str
    layout: Literal["wide", "long"]
    unit: Literal["pg/mL", "ng/mL", "NPX", "log2_expression", "unstated"]
    patient: str
    day: str | None = None
    visit: str | None = None
    baseline: str | None = None
    analyte: str = "analyte"
    value: str = "value"
    unit_column: str | None = None
    below: tuple[float | str, ...] = ()
    above: tuple[float | str, ...] = ()
    limits: Mapping[str, Limits] = {}
    drop: Tokens = ()
    ignore: Mapping[str, str] = {}
    duplicates: Literal["error", "mean", "last"] = "error"

    @model_validator(mode="after")
    def _says_when(self) -> Immune:
        if self.day is None and self.baseline is None and self.visit is None:
            raise ValueError("say when blood was drawn: 'day', 'visit', or the publication's words as 'baseline'")
        return self


class YesNo(_Part):
    """A column whose values say yes, no or nothing; every value must stand in one of the three."""

    column: str
    yes: Tokens
    no: Tokens
    unknown: Tokens = ()

    @model_validator(mode="after")
    def _apart(self) -> YesNo:
        seen: set[str] = set()
        for value in (*self.yes, *self.no, *self.unknown):
            if value in seen:
                raise ValueError(f"{value!r} stands in more than one of yes, no and unknown")
            seen.add(value)
        return self


class Recist(_Part):
    """Best overall response by RECIST; objective response and disease control are derived from it."""

    column: str
    CR: Tokens = ()
    PR: Tokens = ()
    SD: Tokens = ()
    PD: Tokens = ()
    unknown: Tokens = ()


class StableSixMonths(_Part):
    """Durable benefit from RECIST, with a column that says whether stable disease lasted six months."""

    stable_six_months: YesNo


class Toxicity(YesNo):
    """A published toxicity flag, of the grade it stands for."""

    grade: Literal["any", "2", "3"]


class Events(_Part):
    """A table of dated, graded adverse events; a patient without a row had none recorded.

    Attributes
    ----------
    since : float
        Events before this day are not counted: they precede the treatment.
    """

    events: str
    patient: str
    term: str
    grade: str
    day: str
    since: float = 0


class Outcomes(_Part):
    """What the cohort says of response and toxicity."""

    recist: Recist | None = None
    published_response: YesNo | None = None
    durable_benefit: YesNo | StableSixMonths | None = None
    toxicity: Toxicity | Events | None = None

    @model_validator(mode="after")
    def _stable_needs_recist(self) -> Outcomes:
        if isinstance(self.durable_benefit, StableSixMonths) and self.recist is None:
            raise ValueError("durable_benefit: stable_six_months needs 'recist' beside it")
        return self


class Manifest(_Part):
    """One cohort: its files and what stands in them.

    Attributes
    ----------
    never : mapping of str to str
        Columns that may not become features, each with the reason, such as "recorded because of the outcome".
    simulated : bool
        Whether the data were simulated; repeated in every artefact and answer.
    folder : Path or None
        Where the files lie when the manifest was given as a path: beside it.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    title: str
    simulated: bool = False
    source: Source
    clock: Clock
    taxa: Taxa
    samples: Samples
    patients: Patients | None = None
    immune: Immune | None = None
    outcomes: Outcomes = Outcomes()
    never: Mapping[str, str] = {}
    notes: Tokens = ()
    folder: Path | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _keeps_nothing_forbidden(self) -> Manifest:
        for name, field in (self.patients.keep if self.patients else {}).items():
            if field.column in self.never:
                raise ValueError(
                    f"patients.keep.{name} takes column {field.column!r}, which 'never' forbids: "
                    f"{self.never[field.column]}"
                )
        return self

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """Every file the manifest names, published or not."""
        named = {f.name: f for f in self.source.files}
        used: list[str | None] = [self.taxa.file, self.taxa.taxonomy, self.samples.file]
        used += [self.patients and self.patients.file, self.immune and self.immune.file]
        if isinstance(self.outcomes.toxicity, Events):
            used.append(self.outcomes.toxicity.events)
        return tuple(named.get(name, SourceFile(name=name)) for name in dict.fromkeys(used) if name)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `yes`, `no`, `on` and `off` stay text, since they are words of the published tables."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def manifest_folder() -> Path:
    """Return the folder of the manifests that ship with Taxokine."""
    packaged = Path(str(files("features"))) / "cohorts"
    return packaged if packaged.is_dir() else Path(str(files("features"))).parent / "cohorts"


def manifest_names() -> list[str]:
    """Return the names of the manifests that ship with Taxokine, sorted."""
    return sorted(path.stem for path in manifest_folder().glob("*.yaml"))


def load_manifest(name_or_path: str | Path) -> Manifest:
    """Read and validate a manifest.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a manifest that ships with Taxokine, or the path of a YAML file. The files of a manifest given as
        a path are looked for beside it.

    Raises
    ------
    ManifestError
        There is no such manifest, or it does not validate; the message names each place and what is wrong there.
    """
    path = manifest_folder() / f"{name_or_path}.yaml"
    folder = None
    if not path.is_file():
        path = Path(name_or_path)
        folder = path.parent
        if not path.is_file():
            raise ManifestError(
                f"there is no cohort manifest {str(name_or_path)!r}; known names are {', '.join(manifest_names())}, "
                "and a path to a YAML file is taken too ('taxokine cohorts init FILES' drafts one)"
            )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: this is not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise ManifestError(f"{path}: expected 'name:', 'title:', 'taxa:' and so on, got {type(content).__name__}")
    try:
        return Manifest.model_validate({**content, "folder": folder})
    except ValidationError as error:
        raise ManifestError(f"{path}:\n{_complaints(error.errors())}") from error


def _complaints(errors: Sequence[Any]) -> str:
    lines = []
    for error in errors:
        place = ".".join(map(str, error["loc"])) or "manifest"
        came = "" if isinstance(error["input"], Mapping | list | BaseModel) else f" (came: {error['input']!r})"
        lines.append(f"  {place}: {error['msg'].removeprefix('Value error, ')}{came}")
    return "\n".join(lines)
