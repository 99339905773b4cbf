"""A small cohort, written as files, for the tests of the readers and of the landmark join."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

FILES = {
    "taxa.csv": (
        "sample,Alpha one,Beta two,Gamma three\n"
        "s1,50,50,0\ns2,25,75,0\ns3,0,0,100\ns4,10,20,70\ns5,80,10,10\nd1,0,100,0\n"
    ),
    "samples.csv": "sample,patient,day\ns1,p1,-10\ns2,p1,-2\ns3,p1,20\ns4,p2,0\ns5,p3,-1\nd1,D1,\n",
    "patients.csv": (
        "patient,age,sex,best,label,lasting,steroids\n"
        "p1,60,F,PR,R,,no\np2,71,M,SD,NR,yes,yes\np3,,F,,,,no\np4,50,M,PD,NR,no,no\n"
    ),
    "blood.csv": "patient,day,IL6,TNF\np1,-9,1,<2\np1,-3,2,4\np1,6,3,9\np2,-40,5,NA\n",
    "events.csv": "patient,term,grade,day\np1,rash,1,15\np1,colitis,3,40\np2,rash,2,0\np3,delirium,3,-30\n",
}
MANIFEST: dict[str, Any] = {
    "manifest_version": 2,
    "name": "toy",
    "title": "A toy",
    "source": {"licence": "CC0", "citation": "nobody"},
    "clock": {"name": "day_ici", "index": "first dose"},
    "taxa": {"file": "taxa.csv", "format": "table", "unit": "percent", "sample_axis": "rows", "profiler": "by_hand"},
    "samples": {
        "file": "samples.csv",
        "sample": "sample",
        "patient": "patient",
        "day": {"column": "day"},
        "donor": {"column": "sample", "pattern": "^d"},
    },
    "patients": {
        "file": "patients.csv",
        "patient": "patient",
        "covariates": {"age": {"column": "age"}, "sex": {"column": "sex", "values": {"F": "female", "M": "male"}}},
    },
    "immune": {"file": "blood.csv", "layout": "wide", "unit": "pg/mL", "patient": "patient", "day": "day"},
    "outcomes": {
        "recist": {"column": "best", "CR": ["CR"], "PR": ["PR"], "SD": ["SD"], "PD": ["PD"], "unknown": [""]},
        "published_response": {"column": "label", "yes": ["R"], "no": ["NR"], "unknown": [""]},
        "durable_benefit": {"stable_six_months": {"column": "lasting", "yes": ["yes"], "no": ["no"], "unknown": [""]}},
        "toxicity": {"events": "events.csv", "patient": "patient", "term": "term", "grade": "grade", "day": "day"},
    },
    "exclude_columns": {"steroids": "given because of toxicity"},
}


@pytest.fixture(scope="session")
def write_cohort(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that writes the small cohort and returns its manifest's path.

    Files given replace those of the same name; parts of the manifest given are merged into it, and None takes one out.
    """

    def write(files: Mapping[str, str] | None = None, **changes: Any) -> str:
        folder = tmp_path_factory.mktemp("cohort")
        for name, text in {**FILES, **(files or {})}.items():
            (folder / name).write_text(text, encoding="utf-8")
        path = folder / "cohort.yaml"
        path.write_text(json.dumps(_merge(MANIFEST, changes), ensure_ascii=False, sort_keys=True), encoding="utf-8")
        return str(path)

    return write


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, change in changes.items():
        if change is None:
            merged.pop(name, None)
        elif isinstance(change, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merge(merged[name], change)
        else:
            merged[name] = change
    return merged
