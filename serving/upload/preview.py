"""The whole upload: its files read one by one, its request checked, and what the models would make of it."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import ValidationError

from features.errors import FileError, InputError
from models.applicability import assess_applicability
from models.patient_input import Candidate
from models.predict import ServedModel, select_model
from models.reference import CARE_RECOGNISED, richness_grade
from serving.schemas import PredictionRequest
from serving.upload.blood import measurements
from serving.upload.clinical import fields
from serving.upload.findings import WHAT, Fault, Field, Form, Known, Refused, Told, Understood
from serving.upload.intake import StoredFile, UploadedFile, store
from serving.upload.sheets import kind_in
from serving.upload.stool import profile

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """What files and form come to.

    Attributes
    ----------
    request : dict or None
        The JSON-ready body of `POST /v1/predictions`; None where a problem stops it.
    understood : tuple of Understood
    problems : tuple of Fault
        Those that stop before those that warn.
    samples : tuple of str
        The stool table's, to choose from.
    """

    request: dict[str, Any] | None
    understood: tuple[Understood, ...]
    problems: tuple[Fault, ...]
    samples: tuple[str, ...]


def understand(files: Mapping[Field, UploadedFile], form: Form, models: Mapping[str, Sequence[ServedModel]]) -> Upload:
    """Return what is understood of a patient's files and what is not; nothing is predicted, and nothing kept.

    Parameters
    ----------
    files : mapping of str to UploadedFile
        Of these what there is: 'taxa' (MetaPhlAn, BIOM 2.1, QIIME 2, TSV or CSV), 'taxonomy' (of features whose ids
        are no names), 'immune' (TSV or CSV, one row a measurement or one column an analyte), 'clinical' (one row).
    form : Form
    models : mapping of str to sequence of ServedModel
        For each outcome its models, the best first, as the server has them.

    Notes
    -----
    The files lie in a temporary folder for as long as this runs. A large table takes seconds: call it in a thread.
    """
    told = Told(form, Known(models))
    with TemporaryDirectory(prefix="taxokine-") as folder:
        stored = _stored(told, files, Path(folder))
        named = _read(told, stored, "taxonomy", lambda told, file: kind_in("taxonomy", file, told.known))
        taxonomy = stored["taxonomy"] if named else None
        asked = {
            "patient": {"id": form.patient} | (_read(told, stored, "clinical", fields) or {}),
            "taxa": _read(told, stored, "taxa", partial(profile, taxonomy=taxonomy)),
            "immune": _read(told, stored, "immune", measurements) or [],
        }
    if not files.keys() - {"taxonomy"}:
        expected = "a stool profile, a table of immune measurements or a clinical table"
        told.stop("empty", "a taxonomy alone" if files else "no file", expected, "Choose a file.")
    request = _checked(told, asked, models)
    faults = tuple(sorted(_merged(told.faults), key=lambda fault: fault.severity != "stops"))
    return Upload(request, tuple(told.understood), faults, told.samples)


def _stored(told: Told, files: Mapping[Field, UploadedFile], folder: Path) -> dict[Field, StoredFile]:
    stored: dict[Field, StoredFile] = {}
    for name, file in files.items():
        try:
            stored[name] = store(file, folder / name)
        except Refused as error:
            told.faults.append(error.fault)
        else:
            for change in stored[name].changed:
                told.say("encoding", change, "read as such", file.name)
    return stored


def _read(
    told: Told, stored: Mapping[Field, StoredFile], name: Field, read: Callable[[Told, StoredFile], T]
) -> T | None:
    """Return what a file comes to, or keep the fault because of which it comes to nothing."""
    if name not in stored:
        return None
    try:
        return read(told, stored[name])
    except Refused as error:
        told.faults.append(error.fault)
    except FileError as error:
        came, of = error.problem, name
        for other, file in stored.items():
            came = came.replace(str(file.path), file.name)
            of = other if error.file == str(file.path) else of
        place = {"file": stored[of].name, "row": error.row, "column": error.column}
        told.stop("unreadable", came, WHAT[of], "Correct the file, and upload it again.", **place)
    return None


def _checked(told: Told, request: dict[str, Any], models: Mapping[str, Sequence[ServedModel]]) -> dict[str, Any] | None:
    """Return the request if nothing stops it, checked as the API checks one, and tell what the models make of it."""
    if any(fault.severity == "stops" for fault in told.faults):
        return None
    request = {name: part for name, part in request.items() if part}
    advice = "Correct the file or the form."
    try:
        candidate = PredictionRequest.model_validate(request).candidate()
        for outcome, ranked in models.items():
            _judge(told, outcome, ranked, candidate)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place = ".".join(map(str, detail["loc"]))
            told.stop("request", f"{place}: {reprlib.repr(detail['input'])}", detail["msg"], advice)
        return None
    except InputError as error:
        told.stop("request", str(error), "what the models can read", advice)
        return None
    return request


def _judge(told: Told, outcome: str, ranked: Sequence[ServedModel], candidate: Candidate) -> None:
    """Tell what keeps the model that would answer from knowing this candidate."""
    served, model_input = select_model(ranked, candidate)
    model, of = served.model, {"outcomes": (outcome,)}
    assessment = assess_applicability(model, candidate, model_input, model.encoder.encode(model_input.values))
    trust = assessment.trust
    if "taxa" in model.blocks and candidate.taxa:
        profilers = " or ".join(model.profilers) or "not stated"
        if (share := trust.taxa_recognised or 0.0) < CARE_RECOGNISED:
            came = f"a profile of which {share:.0%} lies in taxa whose names the model knows"
            expected = f"at least {CARE_RECOGNISED:.0%}; the model's profiler: {profilers}"
            advice = "Profile the reads with that program and database; other databases name taxa otherwise."
            told.warn("other_naming", came, expected, advice, **of)
        if trust.profiler_match is None:
            told.warn("no_profiler", "no profiler", profilers, "State what made the profile.", **of)
        elif not trust.profiler_match:
            advice = "The same name may mean another taxon; profile the reads with the model's if you can."
            told.warn("other_profiler", str(candidate.taxa.profiler), profilers, advice, **of)
        if (percentile := trust.richness_percentile) is not None and richness_grade(percentile):
            came = f"so few taxa that {percentile:.0f}% of the training patients had no more"
            advice = "The sample may be shallow, or part of the profile missing."
            told.warn("few_taxa", came, "as many as training patients have", advice, **of)
    if trust.verdict == "abstain":
        came = f"the model will abstain: {'; '.join(assessment.decisive)}"
        advice = "Mend what can be mended; there will be no probability otherwise."
        told.warn("abstains", came, "a patient of whom the model knows enough", advice, **of)


def _merged(faults: Sequence[Fault]) -> list[Fault]:
    """Return each fault once, with all the outcomes it was told of."""
    outcomes: dict[Fault, tuple[str, ...]] = {}
    for fault in faults:
        alike = replace(fault, outcomes=())
        outcomes[alike] = outcomes.get(alike, ()) + fault.outcomes
    return [replace(fault, outcomes=of) for fault, of in outcomes.items()]
