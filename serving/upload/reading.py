"""Read the files of an upload into the request that they hold, before it is compared with the served models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from features.errors import FileError
from features.population import Population
from models.patient_input import MAX_NAME
from serving.upload.clinical import read_clinical_fields
from serving.upload.form import DESCRIPTIONS, Field, Form
from serving.upload.immune import read_measurements
from serving.upload.intake import StoredFile, UploadedFile, store
from serving.upload.report import Interpretation, Place, Report, UnreadableFile, UploadProblem
from serving.upload.sheets import check_file_kind
from serving.upload.taxa import read_profile
from serving.upload.training_columns import TrainingColumns

Json = dict[str, JsonValue]
T = TypeVar("T")


@dataclass(frozen=True)
class UploadContent:
    """What the files of an upload hold.

    Attributes
    ----------
    request : dict
        Fields of `POST /v1/predictions`, as far as they could be read.
    interpretations : tuple of Interpretation
    problems : tuple of UploadProblem
    samples : tuple of str
        Samples of the stool table.
    """

    request: Json
    interpretations: tuple[Interpretation, ...] = ()
    problems: tuple[UploadProblem, ...] = ()
    samples: tuple[str, ...] = ()


FileReader = Callable[[Mapping[Field, UploadedFile], Form, TrainingColumns, Path], UploadContent]
"""Reads the files of an upload, which it may write to a folder that its caller deletes."""


def read_files(
    files: Mapping[Field, UploadedFile], form: Form, training: TrainingColumns, folder: Path
) -> UploadContent:
    """Read the files of an upload in this process.

    Parameters
    ----------
    files : mapping of str to UploadedFile
    form : Form
    training : TrainingColumns
        Columns of the served models, which decide what a table holds and in which unit.
    folder : Path
        Empty folder for the files.
    """
    report = Report(form, training)
    stored = _store_files(report, files, folder)
    kind = _read_file(report, stored, "taxonomy", partial(check_file_kind, "taxonomy"))
    taxonomy = stored["taxonomy"] if kind else None
    taxa = _read_file(report, stored, "taxa", partial(read_profile, taxonomy=taxonomy))
    request: Json = {
        "patient": {
            "id": form.patient or _unnamed_patient(report, files),
            **_reported(form.population),
            **(_read_file(report, stored, "clinical", read_clinical_fields) or {}),
        },
        "taxa": taxa,
        "immune": _read_file(report, stored, "immune", read_measurements) or [],
    }
    return UploadContent(request, tuple(report.interpretations), tuple(report.problems), report.samples)


def _unnamed_patient(report: Report, files: Mapping[Field, UploadedFile]) -> str:
    """Return what tells the sheets of a patient without a name from those of another: the sample and the first file."""
    samples = [row.value for row in report.interpretations if row.topic == "sample"]
    names = [file.name for file in files.values()]
    return " · ".join(["unnamed patient", *samples[:1], *names[:1]])[:MAX_NAME]


def _store_files(report: Report, files: Mapping[Field, UploadedFile], folder: Path) -> dict[Field, StoredFile]:
    stored: dict[Field, StoredFile] = {}
    for field, file in files.items():
        try:
            stored[field] = store(file, folder / field)
        except UnreadableFile as error:
            report.problems.append(error.problem)
        else:
            for conversion in stored[field].conversions:
                report.interpret("encoding", conversion, "converted", file.name)
    return stored


def _read_file(
    report: Report, stored: Mapping[Field, StoredFile], field: Field, reader: Callable[[Report, StoredFile], T]
) -> T | None:
    """Return the content of a file; None, with a problem in the report, where it cannot be read."""
    if field not in stored:
        return None
    try:
        return reader(report, stored[field])
    except UnreadableFile as error:
        report.problems.append(error.problem)
    except FileError as error:
        observed, source = error.problem, field
        for other_field, file in stored.items():
            # Errors name the temporary file: give it the name that the user knows.
            observed = observed.replace(str(file.path), file.name)
            source = other_field if error.file == str(file.path) else source
        place: Place = {"file": stored[source].name, "row": error.row, "column": error.column}
        report.stop("unreadable", observed, DESCRIPTIONS[source], "Correct the file, and upload it again.", **place)
    return None


def _reported(population: Population) -> dict[str, str]:
    """Return the patient's known disease and treatment, under the names of the request."""
    return {field: value for field, value in vars(population).items() if value is not None}
