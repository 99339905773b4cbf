"""Cohort manifests: a small YAML file that describes published tables as they are.

A manifest never reshapes a file. It names the files, the columns that matter, and what each value means; whatever it
does not explain is an error. `load_manifest` takes the name of a manifest that ships with Taxokine or a path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from features.errors import ManifestError
from features.fetch import SourceFile


def _written(value: object) -> object:
    """Return a YAML scalar as the text that stands in a table."""
    if value is None:
        raise ValueError('expected text, got nothing; write "" for an empty cell')
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


def _listed(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, as in [{value}]")
    return value


Written = Annotated[str, BeforeValidator(_written)]
"""One value as it is written in a file; YAML numbers are taken as text."""

Tokens = Annotated[tuple[Written, ...], BeforeValidator(_listed)]
"""Values as they are written in a file."""


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
    leave_out : mapping of str to str
        Samples that cannot be trusted, or are nobody's here, each with the reason, which names none; ``*_BRCD`` names
        all that end so.
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
    leave_out: Mapping[Written, str] = {}

    @model_validator(mode="after")
    def _says_when(self) -> Samples:
        if self.day is None and self.baseline is None and self.visit is None:
            raise ValueError("say when stool was taken: 'day', 'visit', or the publication's words as 'baseline'")
        return self


class ClinicalField(_Part):
    """One clinical column: a number with its unit, or a category with each published value mapped to its meaning."""

    column: str
    unit: str | None = None
    values: Mapping[Written, str | bool] | None = None
    missing: Tokens = ("", "NA")

    @model_validator(mode="after")
    def _one_kind(self) -> ClinicalField:
        kinds = {isinstance(value, bool) for value in (self.values or {}).values()}
        if len(kinds) > 1:
            raise ValueError("values are either all true or false, or all words")
        return self


class Technical(_Part):
    """How samples were measured, by a column of their sheet: a number with its unit, else a category as written."""

    column: str
    unit: str | None = None
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


class _Rule(_Part):
    """What the values of a column mean; a value means one thing."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        meaning: dict[str, str] = {}
        for name, values in self:
            for value in values if isinstance(values, tuple) else ():
                if value in meaning:
                    raise ValueError(f"{value!r} stands under {meaning[value]} and under {name}; it means one of them")
                meaning[value] = name
        return self


class YesNo(_Rule):
    """A column whose values say yes, no or nothing; every value must stand in one of the three."""

    column: str
    yes: Tokens
    no: Tokens
    unknown: Tokens = ()


class Recist(_Rule):
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

    grade: Annotated[Literal["any", "2", "3"], BeforeValidator(_written)]


class Attribution(_Part):
    """A column that says what an adverse event was attributed to; "" means none of the three, or unknown."""

    column: str
    values: Mapping[Written, Literal["FMT", "ICI", "disease", ""]]


class Events(_Part):
    """A table of dated, graded adverse events; a patient without a row had none recorded.

    Attributes
    ----------
    since : float
        Events before this day are not counted: they precede the treatment.
    attribution : Attribution, optional
    serious : YesNo, optional
        Whether the event was serious by the regulators' definition, which is not its grade.
    organism : str, optional
        Column of the organism found, for infections; empty elsewhere.
    """

    events: str
    patient: str
    term: str
    grade: str
    day: str
    since: float = 0
    attribution: Attribution | None = None
    serious: YesNo | None = None
    organism: str | None = None


class DatedEvent(_Rule):
    """An event of the patients' sheet, and when it was, or the last day a patient was known to be without it.

    Attributes
    ----------
    time, event : str
        Columns of the time from the clock's day 0, and of whether it is the event's (`yes`) or not (`no`).
    unknown : tuple of str
        Values of either column that tell nothing.
    """

    time: str
    event: str
    unit: Literal["days", "months"]
    yes: Tokens
    no: Tokens
    unknown: Tokens = ()


class LastDay(_Part):
    """A column of the patients' sheet that tells when something ended, from the clock's day 0."""

    time: str
    unit: Literal["days", "months"]
    missing: Tokens = ("", "NA")


class Survival(_Part):
    """Dated outcomes, in the patients' sheet.

    Attributes
    ----------
    overall_survival, progression_free_survival : DatedEvent, optional
        Death; progression or death, whichever is first.
    last_follow_up : LastDay, optional
        The last day on which an adverse event would have been recorded; that of `overall_survival` where left out.
    treatment_end : LastDay, optional
        The last day of treatment; nothing stands for a patient whose treatment had not ended.
    """

    overall_survival: DatedEvent | None = None
    progression_free_survival: DatedEvent | None = None
    last_follow_up: LastDay | None = None
    treatment_end: LastDay | None = None

    @property
    def columns(self) -> dict[str, str]:
        """The columns that tell it, each with what it tells."""
        rules = [(f"survival.{name}", rule) for name, rule in self if rule is not None]
        told = {rule.event: name for name, rule in rules if isinstance(rule, DatedEvent)}
        return told | {rule.time: name for name, rule in rules}


def _variant(key: str, name: str, other: str = "flag") -> Discriminator:
    """Tell two ways of writing a part apart by the key that one of them has, so that errors speak of one only."""
    return Discriminator(
        lambda said: name if (key in said if isinstance(said, Mapping) else hasattr(said, key)) else other
    )


class Outcomes(_Part):
    """What the cohort says of response and toxicity.

    Attributes
    ----------
    progression_free : mapping of int to YesNo
        Whether patients were free of progression after so many months; audits compare it, nothing is trained on it.
    """

    recist: Recist | None = None
    published_response: YesNo | None = None
    durable_benefit: (
        Annotated[
            Annotated[YesNo, Tag("flag")] | Annotated[StableSixMonths, Tag("stable")],
            _variant("stable_six_months", "stable"),
        ]
        | None
    ) = None
    toxicity: (
        Annotated[Annotated[Toxicity, Tag("flag")] | Annotated[Events, Tag("events")], _variant("events", "events")]
        | None
    ) = None
    survival: Survival | None = None
    progression_free: Mapping[Annotated[int, Field(gt=0)], YesNo] = {}

    @model_validator(mode="after")
    def _stable_needs_recist(self) -> Outcomes:
        if isinstance(self.durable_benefit, StableSixMonths) and self.recist is None:
            raise ValueError("durable_benefit: stable_six_months needs 'recist' beside it")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """The columns of the patients' sheet that tell an outcome, each with the outcome."""
        durable = self.durable_benefit
        rules = {
            "recist": self.recist,
            "published_response": self.published_response,
            "durable_benefit": durable.stable_six_months if isinstance(durable, StableSixMonths) else durable,
            "toxicity": self.toxicity if isinstance(self.toxicity, Toxicity) else None,
            **{f"progression_free.{months}": rule for months, rule in self.progression_free.items()},
        }
        told = {rule.column: name for name, rule in rules.items() if rule is not None}
        return self.survival.columns | told if self.survival else told


class CoursePart(_Part):
    """A table with a row for each thing that was done or found; every key names a column of it.

    A cell that holds one of `missing` says nothing, which no patient's name and no day may do.
    """

    file: str
    patient: str
    missing: Tokens = ("", "NA")


class Transplants(CoursePart):
    """Each transplant: the donor subject and batch, the dose and its unit, the route, how the bowel was prepared."""

    day: str
    donor: str | None = None
    batch: str | None = None
    dose: str | None = None
    unit: str | None = None
    route: str | None = None
    preparation: str | None = None


class Cycles(CoursePart):
    """Each dose of an immune checkpoint inhibitor."""

    day: str
    drug: str | None = None


class AssessedResponse(_Part):
    """A column of the response found at an assessment, with the meaning by RECIST or iRECIST of each value."""

    column: str
    values: Mapping[Written, Literal["CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE"]]


class Assessments(CoursePart):
    """Each assessment of the tumour: the response found, and the sum of the target lesions' diameters in mm."""

    day: str
    response: AssessedResponse | None = None
    sum_mm: str | None = None


class MedicationKind(_Part):
    """A column that tells of which kind a medication is, be it the one that names it."""

    column: str
    values: Mapping[Written, Literal["antibiotic", "steroid", "ppi", "other"]]


class Medications(CoursePart):
    """Each medication beside the treatment.

    Attributes
    ----------
    start, end : str
        Columns of the first and the last day; either may be missing in a row, where it is unknown or none.
    """

    name: str
    kind: MedicationKind
    start: str
    end: str | None = None


class LongMeasures(CoursePart):
    """What was measured of a patient over time, a row each: its name, its value and its unit."""

    day: str
    name: str
    value: str
    unit: str | None = None


class Measure(_Part):
    """One measure's column, and its unit, "" where it has none."""

    column: str
    unit: Written


class WideMeasures(CoursePart):
    """What was measured of a patient over time, a row for each day with a column for each measure."""

    day: str
    columns: Annotated[Mapping[str, Measure], Field(min_length=1)]


class TrialCourse(_Part):
    """What was done to the patients and found in them over time, on the cohort's clock; none of it becomes a feature.

    `features.course.read_course` reads it.
    """

    transplants: Transplants | None = None
    cycles: Cycles | None = None
    assessments: Assessments | None = None
    medications: Medications | None = None
    measures: (
        Annotated[
            Annotated[WideMeasures, Tag("wide")] | Annotated[LongMeasures, Tag("long")],
            _variant("columns", "wide", "long"),
        ]
        | None
    ) = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that tell it."""
        return tuple(part.file for _, part in self if part is not None)


class Manifest(_Part):
    """One cohort: its files and what stands in them.

    Attributes
    ----------
    technical : mapping of str to Technical
        How samples were measured, such as `reads`, `read_length`, `platform` and `kit`; for audits and for a baseline,
        never features.
    never : mapping of str to str
        Columns that may not become features, each with the reason, such as "recorded because of the outcome".
    simulated : bool
        Whether the data were simulated; repeated in every artefact and answer.
    same_patients_as : tuple of str
        Cohorts that hold the same patients under other names; the two are never pooled.
    folder : Path or None
        Where the files lie when the manifest was given as a path: beside it.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    title: str
    simulated: bool = False
    same_patients_as: Tokens = ()
    source: Source
    clock: Clock
    taxa: Taxa
    samples: Samples
    technical: Mapping[str, Technical] = {}
    patients: Patients | None = None
    immune: Immune | None = None
    outcomes: Outcomes = Outcomes()
    course: TrialCourse = TrialCourse()
    never: Mapping[str, str] = {}
    notes: Tokens = ()
    folder: Path | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _keeps_nothing_forbidden(self) -> Manifest:
        outcomes = {column: f"it tells outcomes.{name}" for column, name in self.outcomes.columns.items()}
        technical = {field.column: f"it is technical.{name}" for name, field in self.technical.items()}
        forbidden = {**technical, **outcomes, **self.never}
        for name, field in (self.patients.keep if self.patients else {}).items():
            if field.column in forbidden:
                raise ValueError(
                    f"patients.keep.{name} takes column {field.column!r}, which may not become a feature: "
                    f"{forbidden[field.column]}"
                )
        return self

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Manifest:
        if self.patients is None and self.outcomes != Outcomes():
            raise ValueError("outcomes need 'patients', the sheet that lists whom they belong to")
        if self.immune and self.immune.visit and not self.immune.day and not self.samples.visit:
            raise ValueError("immune.visit needs samples.visit, or no draw can be told from a later one")
        return self

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """Every file the manifest names, published or not."""
        named = {f.name: f for f in self.source.files}
        used = [self.taxa.file, self.taxa.taxonomy, self.samples.file]
        used += [part.file for part in (self.patients, self.immune) if part is not None]
        if isinstance(self.outcomes.toxicity, Events):
            used.append(self.outcomes.toxicity.events)
        used += self.course.files
        return tuple(named.get(name, SourceFile(name=name)) for name in dict.fromkeys(used) if name)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `yes`, `no`, `on` and `off` stay text, since they are words of the published tables."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice, of which YAML would silently take the last."""
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


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
    except OSError as error:
        raise ManifestError(f"{path}: the file cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: this is not YAML in UTF-8: {error}") from error
    if not isinstance(content, Mapping):
        raise ManifestError(f"{path}: expected 'name:', 'title:', 'taxa:' and so on, got {type(content).__name__}")
    try:
        return Manifest.model_validate({**content, "folder": folder})
    except ValidationError as error:
        raise ManifestError(f"{path}:\n{_complaints(error.errors())}") from error
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error


def manifest_text(manifest: Manifest) -> str:
    """Return a manifest as YAML, without what was left out of it."""
    content = manifest.model_dump(mode="json", exclude_unset=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def nameless(manifest: Manifest) -> str:
    """Return a manifest as YAML without the names of samples that it leaves out."""
    reasons = {f"sample {i}": reason for i, reason in enumerate(manifest.samples.leave_out.values(), start=1)}
    samples = manifest.samples.model_copy(update={"leave_out": reasons})
    return manifest_text(manifest.model_copy(update={"samples": samples}))


def manifest_digest(manifest: Manifest) -> str:
    """Return a short hash of what a manifest says."""
    return hashlib.sha256(manifest_text(manifest).encode()).hexdigest()[:12]


def _complaints(errors: Sequence[Any]) -> str:
    lines = []
    for error in errors:
        place = ".".join(map(str, error["loc"])) or "manifest"
        came = "" if isinstance(error["input"], Mapping | list | BaseModel) else f" (came: {error['input']!r})"
        lines.append(f"  {place}: {error['msg'].removeprefix('Value error, ')}{came}")
    return "\n".join(lines)
