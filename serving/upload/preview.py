"""Check the request that the files of an upload hold, as the API does, and compare it with the served models."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from features.errors import InputError
from models.applicability import assess_applicability
from models.patient_input import Candidate
from models.predict import ModelsByOutcome, ServedModel, select_model
from models.prediction import Trust
from models.reference import CARE_RECOGNISED, richness_grade
from serving.schemas import PredictionRequest
from serving.upload.folder import upload_folder
from serving.upload.form import Field, Form
from serving.upload.intake import UploadedFile
from serving.upload.reading import FileReader, Json, read_files
from serving.upload.report import Interpretation, Report, UploadProblem
from serving.upload.training_columns import TrainingColumns

_REPORTED_RULES = frozenset({"coverage", "profiler", "richness", "total"})
"""Rules of the applicability domain that have a problem of their own in the report."""


@dataclass(frozen=True)
class Upload:
    """The result of reading an upload.

    Attributes
    ----------
    request : dict or None
        JSON body of `POST /v1/predictions`; None where a problem prevents the prediction.
    interpretations : tuple of Interpretation
    problems : tuple of UploadProblem
        Those that prevent the prediction come first.
    samples : tuple of str
        Samples of the stool table.
    abstains : bool
        Whether every model will abstain.
    """

    request: Json | None
    interpretations: tuple[Interpretation, ...]
    problems: tuple[UploadProblem, ...]
    samples: tuple[str, ...]
    abstains: bool


def understand(
    files: Mapping[Field, UploadedFile],
    form: Form,
    models: ModelsByOutcome,
    reader: FileReader = read_files,
) -> Upload:
    """Read a patient's files, without predicting and without storing them beyond this call.

    Parameters
    ----------
    files : mapping of str to UploadedFile
        Any of "taxa" (MetaPhlAn, BIOM 2.1, QIIME 2, TSV or CSV), "taxonomy" (for features with ids), "immune" (TSV or
        CSV, one row a measurement or one column an analyte) and "clinical" (one row).
    form : Form
    models : ModelsByOutcome
    reader : callable
        Reads the files: in this process, or `serving.upload.child.read_in_child` where nobody vouches for them.

    Notes
    -----
    The files lie in a temporary folder during the call. A large table takes seconds: call this in a thread.
    """
    training = TrainingColumns(models)
    with upload_folder() as folder:
        reading = reader(files, form, training, folder)
    report = Report(form, training, list(reading.interpretations), list(reading.problems), reading.samples)
    if not files.keys() - {"taxonomy"}:
        requirement = "a stool profile, a table of immune measurements or a clinical table"
        report.stop("empty", "a taxonomy alone" if files else "no file", requirement, "Choose a file.")
    checked = _check_request(report, reading.request, models)
    problems = sorted(_merge_outcomes(report.problems), key=lambda problem: problem.severity != "error")
    abstaining = {outcome for problem in problems if problem.kind == "abstains" for outcome in problem.outcomes}
    return Upload(checked, tuple(report.interpretations), tuple(problems), report.samples, abstaining >= models.keys())


def _check_request(report: Report, request: Json, models: ModelsByOutcome) -> Json | None:
    """Return the request if no problem prevents the prediction, checked as the API checks it."""
    if any(problem.severity == "error" for problem in report.problems):
        return None
    request = {name: part for name, part in request.items() if part}
    advice = "Correct the file or the form."
    try:
        candidate = PredictionRequest.model_validate(request).candidate()
        for outcome, ranked in models.items():
            _check_applicability(report, outcome, ranked, candidate)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            field = ".".join(map(str, detail["loc"]))
            report.stop("request", f"{field}: {reprlib.repr(detail['input'])}", detail["msg"], advice)
        return None
    except InputError as error:
        report.stop("request", str(error), "values that the models can read", advice)
        return None
    return request


def _check_applicability(report: Report, outcome: str, ranked: Sequence[ServedModel], candidate: Candidate) -> None:
    """Add a warning for each reason for which the model of an outcome hardly applies to the candidate, or abstains."""
    selected = select_model(ranked, candidate)
    model, candidate, model_input = selected.served.model, selected.candidate, selected.model_input
    assessment = assess_applicability(model, candidate, model_input, model.encoder.encode(model_input.values))
    if "taxa" in model.blocks and candidate.taxa:
        profilers = " or ".join(model.profilers) or "not reported"
        _check_profile(report, outcome, assessment.trust, candidate.taxa.profiler, profilers)
    if assessment.trust.verdict == "abstain":
        reasons = [reason.sentence for reason in assessment.decisive if reason.rule not in _REPORTED_RULES]
        observed = "; ".join(reasons) or "the reasons above"
        advice = "Without a correction there will be no probability."
        requirement = "a patient who resembles the training patients"
        report.warn("abstains", observed, requirement, advice, outcomes=(outcome,))


def _check_profile(report: Report, outcome: str, trust: Trust, profiler: str | None, profilers: str) -> None:
    outcomes = (outcome,)
    recognised = trust.taxa_recognised
    if recognised is not None and recognised < CARE_RECOGNISED:
        observed = f"{recognised:.0%} of the profile's abundance in taxa that occur in the training cohorts"
        requirement = f"at least {CARE_RECOGNISED:.0%}; profiler of the training cohorts: {profilers}"
        advice = "Profile the reads with that program and database; other databases use other names."
        report.warn("other_naming", observed, requirement, advice, outcomes=outcomes)
    if trust.profiler_match is None:
        advice = "State which profiler made the profile."
        report.warn("no_profiler", "no profiler", profilers, advice, outcomes=outcomes)
    elif not trust.profiler_match:
        advice = "The same name may denote another taxon; profile the reads with the models' profiler if you can."
        report.warn("other_profiler", str(profiler), profilers, advice, outcomes=outcomes)
    percentile = trust.richness_percentile
    if percentile is not None and richness_grade(percentile):
        observed = f"so few taxa that only {percentile:.0f}% of the training patients have as few"
        advice = "The sequencing may be shallow, or part of the profile missing."
        report.warn("few_taxa", observed, "as many taxa as the training patients have", advice, outcomes=outcomes)


def _merge_outcomes(problems: Sequence[UploadProblem]) -> list[UploadProblem]:
    """Return each problem once, with all outcomes that have it."""
    outcomes: dict[UploadProblem, tuple[str, ...]] = {}
    for problem in problems:
        shared = replace(problem, outcomes=())
        outcomes[shared] = outcomes.get(shared, ()) + problem.outcomes
    return [replace(problem, outcomes=merged) for problem, merged in outcomes.items()]
