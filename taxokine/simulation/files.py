"""The files of a simulated trial: those that a hospital would have, and the truth behind them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from features.errors import InputError
from taxokine.simulation.cytokines import ANALYTES
from taxokine.simulation.trial import SimulatedTrial

_MANIFEST = """\
manifest_version: 2
name: {name}
title: Simulated trial of fecal microbiota transplantation with immune checkpoint inhibitors, seed {seed}
simulated: true
source:
  licence: none needed, simulated
  citation: Simulated by Taxokine (taxokine.simulation); no patient stands behind these numbers
clock: {{name: day_fmt, index: fecal microbiota transplantation}}
taxa: {{file: stool_counts.tsv, format: table, rank: species, unit: counts, sample_axis: columns, profiler: simulated}}
samples:
  file: samples.csv
  sample: sample
  patient: subject
  day: {{column: day_fmt}}
  donor: {{column: role, pattern: "^donor$"}}
  donor_sample: given
population:
  tumour_type: melanoma
  treatment_line: {{column: prior_therapy, values: {{yes: later, no: first}}}}
patients:
  file: patients.csv
  patient: patient
  centre: centre
{arms}  covariates:
    age: {{column: age, unit: years}}
    sex: {{column: sex, values: {{male: male, female: female}}}}
    bmi: {{column: bmi, unit: kg/m2}}
    ecog: {{column: ecog}}
    prior_therapy: {{column: prior_therapy, values: {{yes: true, no: false}}}}
immune:
  file: cytokines.csv
  layout: long
  unit: pg/mL
  patient: patient
  day: day_fmt
  limits:
{limits}
outcomes:
  recist: {{column: recist, CR: [CR], PR: [PR], SD: [SD], PD: [PD]}}
  toxicity:
    events: adverse_events.csv
    patient: patient
    term: term
    grade: ctcae_grade
    day: day_fmt
    attribution: {{column: attributed_to, values: {{FMT: FMT, ICI: ICI, disease: disease}}}}
    serious: {{column: serious, yes: [yes], no: [no]}}
    organism: organism
  survival:
    overall_survival: {{time: os_days, event: died, yes: [1], no: [0], unit: days}}
    progression_free_survival: {{time: pfs_days, event: progressed_or_died, yes: [1], no: [0], unit: days}}
    last_follow_up: {{time: events_recorded_until, unit: days}}
    cause_of_death: {{column: cause_of_death, values: {{tumour: tumour, other: other, "": ""}}}}
    treatment_end: {{time: treatment_end, unit: days}}
course:
  transplants:
    file: transplants.csv
    patient: patient
    day: day_fmt
    donor: donor
    batch: batch
    dose: dose
    unit: unit
    route: route
    preparation: bowel_preparation
  cycles: {{file: cycles.csv, patient: patient, day: day_fmt, drug: drug}}
  assessments:
    file: assessments.csv
    patient: patient
    day: day_fmt
    response: {{column: response, values: {{CR: CR, PR: PR, SD: SD, PD: PD, iUPD: iUPD, iCPD: iCPD, NE: NE}}}}
    sum_mm: sum_of_diameters_mm
  lesions: {{file: lesions.csv, patient: patient, day: day_fmt, lesion: lesion, site: site, diameter_mm: diameter_mm}}
  medications:
    file: medications.csv
    patient: patient
    name: medication
    kind: {{column: medication, values: {{amoxicillin: antibiotic, prednisone: steroid, pantoprazole: ppi}}}}
    start: first_day
    end: last_day
  measures:
    file: measures.csv
    patient: patient
    day: day_fmt
    columns:
      weight: {{column: weight_kg, unit: kg}}
      albumin: {{column: albumin_g_per_l, unit: g/L}}
      CRP: {{column: crp_mg_per_l, unit: mg/L}}
      ECOG: {{column: ecog, unit: ""}}
      quality of life: {{column: qol, unit: "of 100"}}
notes:
  - simulated, from planted causes that stand in causes.json
"""


_ARMS = """\
  arms: {column: arm, roles: {FMT + ICI: fmt_ici, sham FMT + ICI: sham}, randomised: true}
"""


def write_trial(simulated: SimulatedTrial, folder: Path) -> Path:
    """Write a simulated trial to a new or empty folder, whole or not at all, and return the path of its manifest.

    Raises
    ------
    InputError
        The folder holds something or cannot be written.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: a simulated trial is written to a new or empty folder only; name another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as parent:
            partial = Path(parent) / "trial"
            partial.mkdir()
            for name, text in _file_texts(simulated).items():
                (partial / name).write_text(text, encoding="utf-8", newline="\n")
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder / "manifest.yaml"


def _file_texts(simulated: SimulatedTrial) -> dict[str, str]:
    trial, samples = simulated.trial, simulated.tables["samples"]
    limits = [f"    {name}: {{lloq: {analyte.lloq:g}, uloq: {analyte.uloq:g}}}" for name, analyte in ANALYTES.items()]
    profiles = pd.DataFrame(
        simulated.counts.T, columns=list(samples["sample"]), index=pd.Index(trial.taxa, name="species")
    )
    causes = {"simulated": True, **asdict(trial.causes), "trial": asdict(trial)}
    return {
        "manifest.yaml": _MANIFEST.format(
            name=trial.name,
            seed=trial.seed,
            limits="\n".join(limits),
            arms=_ARMS if "arm" in simulated.tables["patients"] else "",
        ),
        "causes.json": json.dumps(causes, indent=2) + "\n",
        "stool_counts.tsv": profiles.to_csv(sep="\t", lineterminator="\n"),
        "truth.csv": simulated.truth.to_csv(index=False, lineterminator="\n"),
        **{f"{name}.csv": table.to_csv(index=False, lineterminator="\n") for name, table in simulated.tables.items()},
    }
