"""A trial of five patients, written by hand, with known results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from features.cohort import Cohort, read_cohort

PATIENTS = ("KH-0417", "KH-0501", "KH-0533", "KH-0620", "KH-0702")
DONOR = "SPENDER-7"
OS = (2.5, 7.4, 8.3, 28.5, 52.3)
PFS = (1.8, 5, 6, 14, 40)
ASSESSED = (
    "patient,day,found,sum\n"
    "KH-0417,-10,,50\nKH-0417,40,iUPD,65\nKH-0417,70,iCPD,80\n"
    "KH-0501,-10,,40\nKH-0501,63,SD,38\nKH-0501,126,PR,26\nKH-0501,140,iUPD,41\n"
    "KH-0533,-10,,60\nKH-0533,63,PR,30\nKH-0533,126,PR,24\nKH-0533,180,PD,50\n"
    "KH-0620,-10,,80\nKH-0620,63,iUPD,100\nKH-0620,126,PR,40\n"
    "KH-0702,3,,20\nKH-0702,63,CR,0\nKH-0702,126,CR,0\n"
)
LESIONS = (
    "patient,day,lesion,site,mm\n"
    # The earlier assessment of the first patient is not the baseline; the lesion of the brain is new at progression.
    "KH-0417,-40,1,lung,30\nKH-0417,-10,1,lung,40\nKH-0417,-10,2,lung,10\nKH-0417,70,1,lung,60\nKH-0417,70,3,brain,9\n"
    "KH-0501,-10,1,brain,15\nKH-0501,-10,2,skin,25\nKH-0501,63,1,brain,6\nKH-0501,126,1,brain,3\n"
    "KH-0533,-10,1,lung,50\nKH-0533,-10,2,lung,10\nKH-0533,63,1,lung,20\nKH-0533,63,2,lung,10\n"
    # Not measured at baseline, and no assessment before day 0.
    "KH-0620,-10,1,liver,NA\nKH-0620,63,1,liver,10\nKH-0702,3,1,brain,8\n"
)
_DATED = {"unit": "months", "yes": ["1"], "no": ["0"]}
_ROW = {"patient": "patient", "day": "day"}
MANIFEST: dict[str, Any] = {
    "name": "five",
    "title": "Five patients",
    "source": {"licence": "none needed", "citation": "nobody"},
    "clock": {"name": "day_fmt", "index": "first transplant"},
    "taxa": {
        "file": "taxa.csv",
        "format": "table",
        "unit": "percent",
        "sample_axis": "rows",
        "profiler": "by_hand",
    },
    "samples": {
        "file": "samples.csv",
        "sample": "sample",
        "patient": "patient",
        "day": {"column": "day"},
        "donor": {"column": "sample", "pattern": "^SPENDER"},
        "donor_sample": "given",
    },
    "patients": {
        "file": "patients.csv",
        "patient": "patient",
        "covariates": {
            "age": {"column": "age", "unit": "years"},
            "sex": {"column": "sex", "values": {"F": "female", "M": "male"}},
        },
    },
    "outcomes": {
        "recist": {"column": "best", "CR": ["CR"], "PR": ["PR"], "SD": ["SD"], "PD": ["PD"]},
        "toxicity": {
            "events": "events.csv",
            **_ROW,
            "term": "term",
            "grade": "grade",
            "attribution": {"column": "cause", "values": {"FMT": "FMT", "ICI": "ICI", "": ""}},
            "serious": {"column": "sae", "yes": ["yes"], "no": ["no"], "unknown": [""]},
            "organism": "org",
        },
        "survival": {
            "overall_survival": {"time": "os", "event": "died", **_DATED},
            "progression_free_survival": {"time": "pfs", "event": "prog", **_DATED},
            "cause_of_death": {"column": "cause", "values": {"tumour burden": "tumour", "": ""}},
            "treatment_end": {"time": "off", "unit": "months"},
        },
    },
    "course": {
        "transplants": {"file": "transplants.csv", **_ROW, "donor": "donor", "batch": "batch"},
        "cycles": {"file": "cycles.csv", **_ROW, "drug": "drug"},
        "assessments": {
            "file": "assessed.csv",
            **_ROW,
            "response": {
                "column": "found",
                "values": {response: response for response in ("CR", "PR", "SD", "PD", "iUPD", "iCPD")},
            },
            "sum_mm": "sum",
        },
        "lesions": {"file": "lesions.csv", **_ROW, "lesion": "lesion", "site": "site", "diameter_mm": "mm"},
        "medications": {
            "file": "drugs.csv",
            "patient": "patient",
            "name": "name",
            "kind": {"column": "kind", "values": {"abx": "antibiotic"}},
            "start": "start",
            "end": "end",
        },
        "measures": {"file": "measures.csv", **_ROW, "columns": {"weight": {"column": "kg", "unit": "kg"}}},
    },
}


def _lines(*rows: object) -> str:
    return "".join(f"{row}\n" for row in rows)


def five_patients(folder: Path, died: str = "11111", events: str = "", **changes: Any) -> Cohort:
    """Write the trial and read it; `died` flags deaths by patient, `changes` replace parts of the manifest."""
    stool = [f"{name}/{visit},{name},{day},{DONOR}/1" for name in PATIENTS for visit, day in ((1, -7), (2, 30))]
    people = zip(PATIENTS, (50, 60, 70, "", 80), "FMFMF", ["PD", "SD", "PR", "PR", "CR"], OS, died, PFS, strict=True)
    files = {
        "taxa.csv": _lines(
            "sample,Alpha one,Beta two", *(f"{row.split(',')[0]},40,60" for row in stool), f"{DONOR}/1,3,97"
        ),
        "samples.csv": _lines("sample,patient,day,given", *stool, f"{DONOR}/1,{DONOR},,"),
        "patients.csv": _lines(
            "patient,age,sex,best,os,died,pfs,prog,off,cause",
            *(
                f"{name},{age},{sex},{best},{os},{end},{pfs},1,{pfs},{'tumour burden' * int(end)}"
                for name, age, sex, best, os, end, pfs in people
            ),
        ),
        "events.csv": "patient,term,grade,day,cause,sae,org\n" + events,
        "transplants.csv": _lines(
            "patient,day,donor,batch", *(f"{name},{day},{DONOR},{DONOR}-{day}" for name in PATIENTS for day in (0, 14))
        ),
        "cycles.csv": _lines("patient,day,drug", *(f"{PATIENTS[0]},{day},nivolumab" for day in (7, 28))),
        "assessed.csv": ASSESSED,
        "lesions.csv": LESIONS,
        "drugs.csv": _lines("patient,name,kind,start,end", f"{PATIENTS[1]},amoxicillin,abx,-20,-12"),
        "measures.csv": _lines(
            "patient,day,kg", *(f"{name},{day},{70 - day}" for name in PATIENTS for day in (-7, 10))
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "manifest.yaml").write_text(json.dumps(MANIFEST | changes), encoding="utf-8")
    return read_cohort(str(folder / "manifest.yaml"), folder)
