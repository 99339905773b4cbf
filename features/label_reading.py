"""Reading the outcomes that a manifest defines, and why it defines none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from features.days import DayRule
from features.labels import AdverseEvents, OutcomeLabels
from features.manifest import DatedEvent, Events, Manifest, Recist, StableSixMonths, Survival, Toxicity, YesNo
from features.manifest.outcomes import Outcomes
from features.outcomes import DAYS_PER_UNIT, RESPONSES, is_toxicity, parse_grade
from features.tables.text import TextTable, read_text_table

_BEST_RESPONSES = {"objective_response": ("CR", "PR"), "disease_control": ("CR", "PR", "SD")}


def read_labels(manifest: Manifest, sheet: TextTable | None, paths: Mapping[str, Path]) -> OutcomeLabels:
    """Read every outcome that a manifest defines.

    Parameters
    ----------
    manifest : Manifest
        The cohort's manifest.
    sheet : TextTable or None
        The patients' sheet, with one row per patient.
    paths : mapping of str to Path
        Where each file named by the manifest lies.
    """
    outcomes = manifest.outcomes
    events = None
    if isinstance(outcomes.toxicity, Events):
        table = read_text_table(paths[outcomes.toxicity.events], may_be_empty=True)
        table = table.keep_rows(outcomes.toxicity.keep_rows)
        events = _read_events(outcomes.toxicity, table, sheet, manifest)
    if sheet is None or manifest.patients is None:
        return OutcomeLabels({}, events)
    patients = pd.Index(sheet.column(manifest.patients.patient))
    recist = None if outcomes.recist is None else _best_response(sheet, outcomes.recist, patients)
    return OutcomeLabels(
        label_by_outcome=_read_labels(outcomes, sheet, patients, recist),
        events=events,
        dates=_read_dates(outcomes.survival, sheet, patients) if outcomes.survival else None,
        progression_free={
            months: _flag(sheet, rule, patients, f"progression_free.{months}")
            for months, rule in outcomes.progression_free.items()
        },
        recist=recist,
        cause_of_death=_causes_of_death(outcomes.survival, sheet, patients) if outcomes.survival else None,
    )


def exclusion_reason(manifest: Manifest, outcome: str) -> str:
    """Return why a cohort that does not report an outcome is excluded from it."""
    toxicity = manifest.outcomes.toxicity
    if is_toxicity(outcome):
        if isinstance(toxicity, Toxicity):
            return f"{manifest.name} reports toxicity of grade {toxicity.grade!r} only, without the events' grades"
        return f"{manifest.name} reports no toxicity"
    if outcome == "published_response":
        return f"{manifest.name} states no label of response of its own"
    if manifest.outcomes.recist is None:
        return f"{manifest.name} reports neither RECIST, from which {outcome} is derived, nor {outcome} itself"
    return f"{manifest.name} does not report {outcome}"


def _read_labels(
    outcomes: Outcomes, sheet: TextTable, patients: pd.Index[str], recist: pd.Series[str] | None
) -> dict[str, pd.Series[bool]]:
    """Return True, False or NA by patient for each outcome that is a column or follows from RECIST."""
    labels: dict[str, pd.Series[bool]] = {}
    if recist is not None:
        labels |= {
            name: recist.isin(best).where(recist.notna()).astype("boolean") for name, best in _BEST_RESPONSES.items()
        }
    for name in RESPONSES:
        if isinstance(rule := getattr(outcomes, name), YesNo):
            labels[name] = _flag(sheet, rule, patients, name)
    if isinstance(outcomes.durable_benefit, StableSixMonths) and recist is not None:
        stable_six_months = _flag(
            sheet, outcomes.durable_benefit.stable_six_months, patients, "durable_benefit.stable_six_months"
        )
        labels["durable_benefit"] = stable_six_months.where(recist == "SD", labels["objective_response"])
    if isinstance(outcomes.toxicity, Toxicity):
        labels[f"toxicity_{outcomes.toxicity.grade}"] = _flag(sheet, outcomes.toxicity, patients, "toxicity")
    return labels


def _best_response(sheet: TextTable, recist: Recist, patients: pd.Index[str]) -> pd.Series[str]:
    codes = {value: None if code == "unknown" else code for value, code in recist.meanings.items()}
    return pd.Series(sheet.decode(recist.column, codes, "outcomes.recist"), index=patients, dtype="str")


def _flag(sheet: TextTable, rule: YesNo | DatedEvent, patients: pd.Index[str], manifest_key: str) -> pd.Series[bool]:
    codes: dict[str, bool | None] = {
        **dict.fromkeys(rule.yes, True),
        **dict.fromkeys(rule.no, False),
        **dict.fromkeys(rule.unknown),
    }
    column = rule.event if isinstance(rule, DatedEvent) else rule.column
    return pd.Series(sheet.decode(column, codes, f"outcomes.{manifest_key}"), index=patients, dtype="boolean")


def _read_dates(survival: Survival, sheet: TextTable, patients: pd.Index[str]) -> pd.DataFrame:
    dates: dict[str, pd.Series[float] | pd.Series[bool]] = {}
    for name, rule in survival.times.items():
        time = sheet.numbers(rule.time, rule.unknown if isinstance(rule, DatedEvent) else rule.missing)
        if (time < 0).any():
            position = int((time < 0).to_numpy().argmax())
            raise sheet.error(
                f"expected {rule.unit} from the clock's day 0 on, got {time.iloc[position]:g}; follow-up begins on "
                "day 0",
                rule.time,
                position,
            )
        dates[name] = pd.Series(time.to_numpy() * DAYS_PER_UNIT[rule.unit], index=patients)
        if isinstance(rule, DatedEvent):
            dates[f"{name}_event"] = _flag(sheet, rule, patients, f"survival.{name}")
    return pd.DataFrame(dates, index=patients)


def _causes_of_death(survival: Survival, sheet: TextTable, patients: pd.Index[str]) -> pd.Series[str] | None:
    rule, death = survival.cause_of_death, survival.overall_survival
    if rule is None or death is None:
        return None
    causes = sheet.decode(rule.column, rule.values, "outcomes.survival.cause_of_death.values")
    cause = pd.Series(causes, index=patients, dtype="str")
    lives = ((cause != "") & ~_flag(sheet, death, patients, "survival.overall_survival").fillna(True)).to_numpy()
    if lives.any():
        position = int(lives.argmax())
        cell = sheet.column(rule.column).iloc[position]
        raise sheet.error(
            f"{cell!r} is a cause of death, and {death.event!r} says that the patient did not die; correct one of them",
            rule.column,
            position,
        )
    return cause


def _read_events(rule: Events, sheet: TextTable, patients: TextTable | None, manifest: Manifest) -> AdverseEvents:
    patient = sheet.column(rule.patient)
    if patients is not None and manifest.patients is not None:
        names = set(patients.column(manifest.patients.patient))
        for position, name in enumerate(patient):
            if name not in names:
                raise sheet.error(f"patient {name!r} is not in {patients.path.name}", rule.patient, position)
    grades, day = [parse_grade(cell) for cell in sheet.column(rule.grade)], _event_days(rule, sheet, patients, manifest)
    if None in grades:
        position = grades.index(None)
        raise sheet.error(
            f"a CTCAE grade is 1 to 5, got {sheet.column(rule.grade).iloc[position]!r}; write 3, 'G3', 'Grade 3' or "
            "'III', and where it spans grades, the grade that was reached",
            rule.grade,
            position,
        )
    attribution, index = rule.attribution, sheet.frame.index
    frame = pd.DataFrame(
        {
            "patient": patient,
            "term": sheet.column(rule.term),
            "grade": np.array(grades, dtype=float),
            "day": day,
            "attribution": pd.Series(
                sheet.decode(attribution.column, attribution.values, "outcomes.toxicity.attribution.values")
                if attribution
                else "",
                index=index,
                dtype="str",
            ),
            "serious": _flag(sheet, rule.serious, index, "toxicity.serious") if rule.serious else pd.NA,
            "organism": sheet.column(rule.organism) if rule.organism else "",
        }
    ).astype({"serious": "boolean", "organism": "str"})
    return AdverseEvents(frame, rule.first_counted_day)


def _event_days(rule: Events, sheet: TextTable, patients: TextTable | None, manifest: Manifest) -> pd.Series[float]:
    """Return the day of onset of each event, (n_rows,)."""
    if isinstance(rule.day, str):
        return sheet.numbers(rule.day, ())
    sheet_of_patients = None
    if patients is not None and manifest.patients is not None:
        sheet_of_patients = patients, manifest.patients.patient
    may_lack = pd.Series(False, index=sheet.frame.index)
    return DayRule("outcomes.toxicity.day", rule.day, rule.patient).days(sheet, may_lack, sheet_of_patients)
