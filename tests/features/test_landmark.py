import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest
from features.errors import InputError, UnitError
from features.feature_table import CohortContext, FeatureTable
from features.landmark import LandmarkSpec, landmark_table
from features.outcomes import OUTCOME_IDS
from features.pooling import pool_tables
from models.batch import table_candidates

Read = Callable[..., Cohort]
Join = Callable[..., FeatureTable]


@cache
def published(name: str, folder: Path) -> Cohort:
    return read_cohort(name, folder, fetch=False)


@pytest.fixture(scope="session")
def read(write_cohort: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Read:
    def write_and_read(files: dict[str, str] | None = None, **changes: Any) -> Cohort:
        return read_cohort(write_cohort(files, **changes), tmp_path_factory.getbasetemp())

    return write_and_read


@pytest.fixture(scope="session")
def toy(read: Read) -> Cohort:
    return read()


@pytest.mark.parametrize(
    ("name", "patients"),
    [("lee_2022", 164), ("spencer_2021", 156), ("frankel_2017", 39), ("matson_2018", 38), ("davar_2021", 15)],
)
def test_patients_with_stool(name: str, patients: int, cohorts_dir: Path) -> None:
    table = landmark_table(published(name, cohorts_dir))
    assert len(table) == table.rows["patient"].nunique() == patients
    np.testing.assert_allclose(table.taxa.values.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("landmark", "patients", "at_risk", "panel"), [(0, 19, 17, 15), (14, 41, 35, 31), (30, 42, 33, 32)]
)
def test_mitox_at_two_landmarks(landmark: float, patients: int, at_risk: int, panel: int, cohorts_dir: Path) -> None:
    table = landmark_table(published("mitox", cohorts_dir), LandmarkSpec(landmark=landmark))
    assert len(table) == patients
    assert (table.rows["at_risk_toxicity_any"] == "yes").sum() == at_risk
    assert table.rows["toxicity_any"].notna().sum() == at_risk
    assert table.immune.measured_rows.sum() == table.rows["draw"].notna().sum() == panel
    assert table.rows["sample_day"].between(landmark - 90, landmark).all()
    late = [note for note in table.notes if "no stool" in note]
    assert (
        late
        == [f"mitox: {42 - patients} patients have no stool from day_ici {landmark - 90:g} to {landmark:g}"][
            : 42 - patients
        ]
    )


def test_transcripts_are_named_mrna(cohorts_dir: Path) -> None:
    table = landmark_table(published("mitox", cohorts_dir))
    assert set(table.units.values()) == {"log2_expression"}
    assert all(name.endswith(" mRNA") for name in table.immune.names)


@pytest.mark.parametrize("sample", ["first", "last"])
@pytest.mark.parametrize("landmark", [0, 30, 400])
@pytest.mark.parametrize("row_per", ["patient", "visit"])
def test_davar_has_recipients_before_the_transplant_and_no_donor(
    sample: Any, landmark: float, row_per: Any, cohorts_dir: Path
) -> None:
    cohort = published("davar_2021", cohorts_dir)
    table = landmark_table(cohort, LandmarkSpec(landmark=landmark, sample=sample, row_per=row_per))
    assert table.rows["patient"].nunique() == 15
    assert not set(table.rows["patient"]) & set(cohort.donor_samples["patient"])
    assert not set(table.rows["sample"]) & set(cohort.donor_samples["sample"])
    assert (table.rows["sample_day"] <= 0).all()
    assert (table.rows["landmark"] == 0).all()
    noted = any("samples up to day_fmt 0 only" in note for note in table.notes)
    assert noted == (landmark > 0)


def test_momspi_joins_blood_of_the_same_visit(cohorts_dir: Path) -> None:
    table = landmark_table(published("momspi", cohorts_dir), LandmarkSpec(row_per="visit"))
    pairs = table.rows[table.rows["draw"].notna()]
    assert (len(table), len(pairs), pairs["patient"].nunique()) == (353, 93, 68)
    raw = pd.read_csv(cohorts_dir / "momspi" / "blood_cytokines.csv").set_index(["subject_id", "visit_number"])
    blood = table.take(pairs.index.to_numpy())
    published_values = raw.loc[list(zip(pairs["patient"], pairs["visit"], strict=True))]
    for published_name, name in (("RANTES", "RANTES"), ("IL-2", "IL-2"), ("TNF-a", "TNF-a")):
        values = published_values[published_name].to_numpy()
        coded = np.where(values == -2, -np.inf, np.where(values == -1, np.inf, values))
        np.testing.assert_allclose(blood.immune.values[:, table.immune.names.index(name)], coded)
    assert not np.isin(table.immune.values, [-1, -2]).any()


def test_one_row_for_each_patient_in_the_toy(toy: Cohort) -> None:
    table = landmark_table(toy)
    rows = table.rows.set_index("patient")
    assert rows["sample"].to_dict() == {"p1": "s2", "p2": "s4", "p3": "s5"}
    assert (rows["clock"] == "day_ici").all()
    assert table.taxa.names == ("Alpha_one", "Beta_two", "Gamma_three")
    np.testing.assert_allclose(table.taxa.values, [[0.25, 0.75, 0], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], rtol=1e-6)
    assert table.clinical.names == ("age", "sex=female", "sex=male")
    np.testing.assert_array_equal(table.clinical.values, [[60, 1, 0], [71, 0, 1], [np.nan, 1, 0]])
    assert rows["objective_response"].tolist() == [True, False, pd.NA]
    assert rows["durable_benefit"].tolist() == [True, True, pd.NA]
    assert rows["at_risk_objective_response"].tolist() == ["unknown"] * 3
    assert rows["at_risk_toxicity_any"].tolist() == ["yes", "no", "yes"]
    assert rows["toxicity_any"].tolist() == [True, pd.NA, False]
    assert "toy: stool samples of donors, which give no row: 1" in table.notes


@pytest.mark.parametrize(
    ("options", "sample_of"),
    [
        ({"sample": "first"}, {"p1": "s1", "p2": "s4", "p3": "s5"}),
        ({"landmark": 20}, {"p1": "s3", "p2": "s4", "p3": "s5"}),
        ({"landmark": 19.5, "sample": "first"}, {"p1": "s1", "p2": "s4", "p3": "s5"}),
        ({"landmark": -1}, {"p1": "s2", "p3": "s5"}),
        ({"landmark": -2, "window": 8}, {"p1": "s2"}),
        ({"landmark": -2, "window": 8, "sample": "first"}, {"p1": "s1"}),
        ({"landmark": -3, "window": 6}, {}),
        ({"window": 0}, {"p2": "s4"}),
    ],
)
def test_the_sample_that_represents_a_patient(toy: Cohort, options: dict[str, Any], sample_of: dict[str, str]) -> None:
    rows = landmark_table(toy, LandmarkSpec(**options)).rows
    assert dict(zip(rows["patient"], rows["sample"], strict=True)) == sample_of


def test_by_visit_there_is_a_row_for_each_sample_up_to_the_landmark(toy: Cohort) -> None:
    table = landmark_table(toy, LandmarkSpec(row_per="visit"))
    assert table.rows["sample"].tolist() == ["s1", "s2", "s4", "s5"]
    # On day -10 the draw of day -9 was not known.
    assert table.rows["draw"].fillna("").tolist() == ["", "p1/-3", "p2/-40", ""]
    assert landmark_table(toy, LandmarkSpec(row_per="visit", landmark=20)).rows["sample"].tolist() == [
        "s1",
        "s2",
        "s3",
        "s4",
        "s5",
    ]


@pytest.mark.parametrize(
    ("options", "draws", "gaps"),
    [
        ({}, ["p1/-3", "p2/-40", ""], [-1, -40, np.nan]),
        ({"sample": "first"}, ["p1/-9", "p2/-40", ""], [1, -40, np.nan]),
        ({"landmark": 20}, ["p1/6", "p2/-40", ""], [-14, -40, np.nan]),
        ({"window": 30}, ["p1/-3", "", ""], [-1, np.nan, np.nan]),
    ],
)
def test_the_nearest_draw_up_to_the_landmark(
    toy: Cohort, options: dict[str, Any], draws: list[Any], gaps: list[float]
) -> None:
    rows = landmark_table(toy, LandmarkSpec(**options)).rows
    assert rows["draw"].fillna("").tolist() == draws
    np.testing.assert_array_equal(rows["gap_days"], gaps)
    np.testing.assert_array_equal(rows["draw_day"] - rows["sample_day"], gaps)


@pytest.mark.parametrize(("policy", "tnf"), [("half_limit", 1), ("limit", 2), ("missing", np.nan)])
def test_the_policy_for_censored_values(toy: Cohort, policy: Any, tnf: float) -> None:
    table = landmark_table(toy, LandmarkSpec(sample="first", censored=policy))
    assert table.immune.names == ("IL-6", "TNF-a")
    assert table.units == {"IL-6": "pg/mL", "TNF-a": "pg/mL"}
    np.testing.assert_array_equal(table.immune.values, [[1, tnf], [5, np.nan], [np.nan, np.nan]])
    assert table.immune.measured_rows.tolist() == [True, True, False]


def test_the_order_of_rows_in_a_file_is_not_used_as_time(read: Read) -> None:
    files = {
        "samples.csv": "sample,patient,day\ns3,p1,20\ns2,p1,-2\ns1,p1,-10\n",
        "blood.csv": "patient,day,IL6\np1,-3,2\np1,6,3\np1,-9,1\n",
    }
    row = landmark_table(read(files), LandmarkSpec(landmark=0)).rows.iloc[0]
    assert (row["sample"], row["draw"]) == ("s2", "p1/-3")
    undated = {"day": None, "baseline": "before treatment"}
    files["samples.csv"] = "sample,patient,day\ns1,p1,\n"
    # Undated stool: the latest blood draw up to the landmark goes with it.
    row = landmark_table(read(files, samples=undated), LandmarkSpec(landmark=0)).rows.iloc[0]
    assert row["draw"] == "p1/-3"
    assert np.isnan(row["gap_days"])


def test_blood_of_the_same_visit_may_still_be_too_late(read: Read) -> None:
    files = {
        "samples.csv": "sample,patient,day,visit\ns1,p1,-10,1\ns2,p1,-2,2\n",
        "blood.csv": "patient,day,visit,IL6\np1,-11,1,7\np1,3,2,9\n",
    }
    cohort = read(files, samples={"visit": "visit"}, immune={"visit": "visit"})
    assert landmark_table(cohort).rows["draw"].fillna("").tolist() == [""]
    assert landmark_table(cohort, LandmarkSpec(sample="first")).rows["draw"].fillna("").tolist() == ["p1/-11/1"]
    assert landmark_table(cohort, LandmarkSpec(landmark=3)).rows["draw"].fillna("").tolist() == ["p1/3/2"]


@pytest.mark.parametrize("row_per", ["patient", "visit"])
@pytest.mark.parametrize("days", [("day", "-2"), ("baseline", "")])
def test_indistinguishable_samples_are_refused(read: Read, row_per: Any, days: tuple[str, str]) -> None:
    how, day = days
    files = {"samples.csv": f"sample,patient,day\ns4,p2,{day}\ns1,p1,{day}\ns2,p1,{day}\n"}
    samples = {} if how == "day" else {"day": None, "baseline": "before treatment"}
    with pytest.raises(InputError, match=r"samples\.csv, rows 3 and 4: patient 'p1' has several samples .*\(s1, s2\)"):
        landmark_table(read(files, samples=samples), LandmarkSpec(row_per=row_per))


def test_indistinguishable_samples_that_represent_nobody_are_accepted(read: Read) -> None:
    cohort = read({"samples.csv": "sample,patient,day\ns1,p1,-9\ns2,p1,-9\ns3,p1,-1\n"})
    assert landmark_table(cohort).rows["sample"].tolist() == ["s3"]
    with pytest.raises(InputError, match="none is first"):
        landmark_table(cohort, LandmarkSpec(sample="first"))


def test_visits_order_samples_without_days(read: Read) -> None:
    files = {
        "samples.csv": "sample,patient,visit\ns1,p1,2\ns2,p1,10\ns4,p2,1\n",
        "blood.csv": "patient,visit,IL6\np1,2,7\np2,2,9\n",
    }
    parts: dict[str, Any] = {"samples": {"day": None, "visit": "visit"}, "immune": {"day": None, "visit": "visit"}}
    with pytest.raises(InputError, match=r"stool is of visits 1, 2, 10, which are not dated.*'baseline_visit: 1'"):
        landmark_table(read(files, **parts))
    parts["samples"]["baseline_visit"] = 2
    assert landmark_table(read(files, **parts)).rows["sample"].tolist() == ["s1", "s4"]
    parts["samples"]["baseline_visit"] = 10
    cohort = read(files, **parts)
    assert landmark_table(cohort).rows["sample"].tolist() == ["s2", "s4"]
    assert landmark_table(cohort, LandmarkSpec(row_per="visit")).rows["draw"].fillna("").tolist() == ["p1/2", "", ""]
    notes = landmark_table(cohort).notes
    assert "toy: stool is not dated; its time is that of the publication: visits up to 10" in notes
    assert "toy: blood is not dated; its time is that of the publication: by visit" in notes


@pytest.mark.parametrize("row_per", ["patient", "visit"])
def test_case_34_the_baseline_visit_is_named_or_there_is_no_landmark(
    cases_dir: Path, tmp_path: Path, row_per: Literal["patient", "visit"]
) -> None:
    for file in (cases_dir / "34-undated-visits").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "mine.yaml"
    text = draft_manifest([file for file in sorted(tmp_path.iterdir()) if file != path], "mine")
    path.write_text(text)
    with pytest.raises(InputError, match="baseline_visit"):
        landmark_table(read_cohort(path, tmp_path), LandmarkSpec(row_per=row_per))
    path.write_text(text.replace("  visit: Timepoint", "  baseline_visit: 1\n  visit: Timepoint", 1))
    rows = landmark_table(read_cohort(path, tmp_path), LandmarkSpec(row_per=row_per)).rows
    assert set(rows["sample"]) == {f"s{i}v1" for i in range(12)}
    assert set(rows["draw"]) == {f"p{i}/01" for i in range(12)}


def test_labels_state_days(read: Read) -> None:
    sheet = "sample,patient,time\ns1,p1,T0\ns2,p1,T4\ns4,p2,T0\nd1,D1,given\n"
    day = {"column": "time", "labels": {"T0": -7, "T4": 42}}
    rows = landmark_table(read({"samples.csv": sheet}, samples={"day": day}), LandmarkSpec(landmark=50)).rows
    assert dict(zip(rows["sample"], rows["sample_day"], strict=True)) == {"s2": 42, "s4": -7}
    with pytest.raises(InputError, match=r"column 'time': no day in 'T0'; samples.day.labels has the days of \['T4'\]"):
        read({"samples.csv": sheet}, samples={"day": {"column": "time", "labels": {"T4": 42}}})


def test_events_count_by_a_day(toy: Cohort) -> None:
    assert landmark_table(toy, LandmarkSpec(by_day=14)).rows["toxicity_any"].tolist() == [False, pd.NA, False]
    assert landmark_table(toy, LandmarkSpec(by_day=15)).rows["toxicity_any"].tolist() == [True, pd.NA, False]
    assert landmark_table(toy, LandmarkSpec(landmark=15)).rows["at_risk_toxicity_any"].tolist() == ["no", "no", "yes"]
    assert landmark_table(toy, LandmarkSpec(landmark=15)).rows["at_risk_toxicity_3"].tolist() == ["yes", "yes", "yes"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"by_day": 0}, r"counts to be later than the landmark \(0\), got 0"),
        ({"landmark": 30, "by_day": 14}, "got 14"),
        ({"window": -1}, "a window of at least 0 days, got 0 and -1"),
        ({"window": float("nan")}, "got 0 and nan"),
        ({"landmark": float("nan")}, "got nan and 90"),
    ],
)
def test_days_that_contradict_each_other(toy: Cohort, options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        landmark_table(toy, LandmarkSpec(**options))


def test_unreported_outcomes_are_unknown(read: Read) -> None:
    rows = landmark_table(read(patients=None, immune=None, outcomes=None, exclude_columns=None)).rows
    for outcome in OUTCOME_IDS:
        assert rows[outcome].isna().all()
        assert rows[f"at_risk_{outcome}"].isna().all()
        assert str(rows[outcome].dtype) == "boolean"


def test_cohort_context(cohorts_dir: Path, toy: Cohort) -> None:
    context = landmark_table(published("mitox", cohorts_dir), LandmarkSpec(landmark=14)).cohorts["mitox"]
    assert set(context.outcomes) == set(OUTCOME_IDS)
    assert (context.clock, context.index_event) == ("day_ici", "first dose of immune checkpoint inhibitors")
    assert (context.landmark, context.window, context.dated, context.simulated) == (14, 90, True, False)
    assert not landmark_table(toy).simulated


def test_simulated_cohorts_are_marked(read: Read, toy: Cohort) -> None:
    simulated = landmark_table(read(simulated=True, name="made_up"))
    assert simulated.simulated
    assert pool_tables([landmark_table(toy), simulated]).simulated


DAY = st.integers(-60, 60)
VALUE = st.integers(0, 9)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Any], list[Any], list[Any]]:
    """Stool (patient, day, three counts), blood (patient, day, two values) and events (patient, day, grade)."""
    patient = st.sampled_from(["p1", "p2", "p3"])
    stool = draw(st.lists(st.tuples(patient, DAY, VALUE, VALUE), min_size=1, max_size=7, unique_by=lambda row: row[:2]))
    blood = draw(st.lists(st.tuples(patient, DAY, VALUE), max_size=7, unique_by=lambda row: row[:2]))
    events = draw(st.lists(st.tuples(patient, DAY, st.integers(1, 5)), max_size=4))
    return stool, blood, events


def _files(stool: list[Any], blood: list[Any], events: list[Any]) -> dict[str, str]:
    """Write a history; samples are named by what they are, so that leaving one out renames no other."""
    # A draw of somebody far in the past keeps the immune table from being empty.
    draws = [("p1", -999, 1), *blood]
    return {
        "taxa.csv": "sample,Alpha one,Beta two,Gamma three\n"
        + "".join(f"{p}_{d},{a},{b},{90 - a - b}\n" for p, d, a, b in stool)
        + "p1_-999,1,1,90\n",
        "samples.csv": "sample,patient,day\np1_-999,p1,-999\n" + "".join(f"{p}_{d},{p},{d}\n" for p, d, *_ in stool),
        "blood.csv": "patient,day,IL6\n" + "".join(f"{p},{d},{v}\n" for p, d, v in draws),
        "events.csv": "patient,term,grade,day\np4,rash,1,1\n" + "".join(f"{p},rash,{g},{d}\n" for p, d, g in events),
    }


@settings(max_examples=20)
@given(
    history=histories(),
    landmark=st.integers(-40, 40),
    sample=st.sampled_from(["first", "last"]),
    row_per=st.sampled_from(["patient", "visit"]),
    change=st.sampled_from(["remove", "alter"]),
)
def test_nothing_after_the_landmark_enters(
    read: Read, history: tuple[Any, Any, Any], landmark: int, sample: Any, row_per: Any, change: str
) -> None:
    stool, blood, events = history
    if change == "remove":
        later = [[row for row in rows if row[1] <= landmark] for rows in history]
    else:
        stool = [(p, d, *(9 - v for v in values)) if d > landmark else (p, d, *values) for p, d, *values in stool]
        blood = [(p, d, v + 100) if d > landmark else (p, d, v) for p, d, v in blood]
        later = [stool, blood, events]
    without_later_days = landmark_table(
        read(_files(*history)), LandmarkSpec(landmark=landmark, sample=sample, row_per=row_per)
    )
    with_later_days = landmark_table(
        read(_files(*later)), LandmarkSpec(landmark=landmark, sample=sample, row_per=row_per)
    )
    features = [
        name for name in without_later_days.to_frame() if not any(name.endswith(outcome) for outcome in OUTCOME_IDS)
    ]
    pd.testing.assert_frame_equal(without_later_days.to_frame()[features], with_later_days.to_frame()[features])
    at_risk = [f"at_risk_{outcome}" for outcome in OUTCOME_IDS]
    pd.testing.assert_frame_equal(without_later_days.rows[at_risk], with_later_days.rows[at_risk])
    assert (without_later_days.rows["sample_day"] <= landmark).all()
    assert not (without_later_days.rows["draw_day"] > landmark).any()


def test_pooling_stacks_rows_and_notes_differences(toy: Cohort, read: Read) -> None:
    files = {
        "taxa.csv": "sample,Beta two,Delta four\ns1,50,50\ns2,25,75\ns4,40,60\n",
        "samples.csv": "sample,patient,day\ns1,p1,-10\ns4,p2,0\n",
        "blood.csv": "patient,day,IL10\np1,-9,1\n",
    }
    other_cohort = read(
        files, name="other", clock={"name": "day_fmt", "index": "transplant"}, taxa={"profiler": "another"},
        exclude_columns=None, patients={"covariates": {"age": None}},
    )  # fmt: skip
    tables = [landmark_table(toy), landmark_table(other_cohort)]
    table = pool_tables(tables)
    assert table.rows["cohort"].tolist() == ["toy"] * 3 + ["other"] * 2
    assert table.taxa.names == ("Alpha_one", "Beta_two", "Gamma_three", "Delta_four")
    np.testing.assert_allclose(table.taxa.values[3:], [[0, 0.5, 0, 0.5], [0, 0.4, 0, 0.6]], rtol=1e-6)
    np.testing.assert_array_equal(table.taxa.values[:3, 3], 0)
    assert table.immune.names == ("IL-6", "TNF-a", "IL-10")
    np.testing.assert_array_equal(table.immune.values[:, 2], [np.nan] * 3 + [1, np.nan])
    assert np.isnan(table.immune.values[3:, :2]).all()
    assert table.clinical.names == ("age", "sex=female", "sex=male")
    assert np.isnan(table.clinical.values[3:, 0]).all()
    assert "clocks start at different events: toy day_ici, first dose; other day_fmt, transplant" in table.notes
    assert "profilers differ: toy by_hand; other another" in table.notes
    assert set(table.cohorts) == {"toy", "other"}
    pd.testing.assert_frame_equal(table.take(np.arange(3)).rows, tables[0].rows)


def test_pooling_one_cohort_or_equal_contexts_adds_no_note(toy: Cohort, read: Read) -> None:
    table = landmark_table(toy)
    assert pool_tables([table]) is table
    pooled_table = pool_tables([table, landmark_table(read(name="twin"))])
    assert not any("differ" in note for note in pooled_table.notes)


def test_one_clock_name_for_two_events_is_noted(toy: Cohort, read: Read) -> None:
    other_table = landmark_table(read(name="twin", clock={"index": "second dose"}))
    assert any(
        "clocks start at different events" in note for note in pool_tables([landmark_table(toy), other_table]).notes
    )


def test_technical_columns_follow_their_rows(read: Read) -> None:
    def table_with_kits(name: str, kits: str) -> FeatureTable:
        text = "".join(f"s{i},p{i},0,{kit},{100 * i}\n" for i, kit in zip((1, 4), kits, strict=True))
        technical = {"kit": {"column": "kit"}} | ({"reads": {"column": "n", "unit": "reads"}} if name == "one" else {})
        sheet = {"samples.csv": "sample,patient,day,kit,n\n" + text.replace("p4", "p2")}
        return landmark_table(read(sheet, name=name, technical=technical))

    table, other_table = table_with_kits("one", "AB"), table_with_kits("other", "BC")
    assert table.technical.names == ("kit=A", "kit=B", "reads")
    np.testing.assert_array_equal(table.take(np.array([1])).technical.values, [[0, 1, 400]])
    technical = pool_tables([table, other_table]).technical
    # A row with a known level is 0 for the levels of the other cohort; an unreported number is NaN.
    assert technical.names == ("kit=A", "kit=B", "reads", "kit=C")
    np.testing.assert_array_equal(
        technical.values, [[1, 0, 100, 0], [0, 1, 400, 0], [0, 1, np.nan, 0], [0, 0, np.nan, 1]]
    )
    assert not [column for column in table.to_frame() if column.startswith("technical")]


def test_tables_that_cannot_be_pooled(toy: Cohort, read: Read) -> None:
    table = landmark_table(toy)
    with pytest.raises(InputError, match="named twice"):
        pool_tables([table, table])
    with pytest.raises(UnitError, match="IL-6 is in pg/mL in one cohort and in NPX in olink"):
        pool_tables([table, landmark_table(read(name="olink", immune={"unit": "NPX"}))])
    with pytest.raises(InputError, match="different ranks cannot be pooled: toy species; genera genus"):
        pool_tables([table, landmark_table(read(name="genera", taxa={"rank": "genus"}))])


def test_expression_and_protein_stay_apart(read: Read, toy: Cohort) -> None:
    panel = landmark_table(
        read({"blood.csv": "patient,day,IL6\np1,-1,3\n"}, name="panel", immune={"unit": "log2_expression"})
    )
    table = pool_tables([landmark_table(toy), panel])
    assert table.immune.names == ("IL-6", "TNF-a", "IL6 mRNA")
    assert table.units["IL6 mRNA"] == "log2_expression"


def test_pooled_published_cohorts(cohorts_dir: Path) -> None:
    table = pool_tables([landmark_table(published(name, cohorts_dir)) for name in ("mitox", "lee_2022", "davar_2021")])
    assert len(table) == 19 + 164 + 15
    assert any(note.startswith("clocks start at different events: mitox day_ici") for note in table.notes)
    np.testing.assert_allclose(table.taxa.values.sum(axis=1), 1, atol=1e-5)
    assert not np.isnan(table.taxa.values).any()
    assert not table.immune.measured_rows[19:].any()


def test_take_keeps_blocks_in_step(toy: Cohort) -> None:
    table = landmark_table(toy)
    for positions in (np.array([2, 0]), np.array([True, False, True])):
        subset = table.take(positions)
        assert subset.rows["patient"].tolist() == table.rows["patient"][positions].tolist()
        np.testing.assert_array_equal(subset.taxa.values, table.taxa.values[positions])
        np.testing.assert_array_equal(subset.immune.values, table.immune.values[positions])
        np.testing.assert_array_equal(subset.clinical.values, table.clinical.values[positions])
        assert subset.rows.index.tolist() == [0, 1]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_write(toy: Cohort, tmp_path: Path, suffix: str) -> None:
    table, path = landmark_table(toy, LandmarkSpec(landmark=20)), tmp_path / f"rows{suffix}"
    table.write(path)
    frame = pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path)
    assert [name for name in frame if ":" in name] == [
        "taxa:Alpha_one",
        "taxa:Beta_two",
        "taxa:Gamma_three",
        "immune:IL-6",
        "immune:TNF-a",
        "clinical:age",
        "clinical:sex=female",
        "clinical:sex=male",
        *(f"over_time:{name}" for name in table.block("over_time").names),
    ]
    np.testing.assert_allclose(frame["taxa:Gamma_three"], table.taxa.values[:, 2])
    assert frame["at_risk_toxicity_any"].tolist() == table.rows["at_risk_toxicity_any"].tolist()
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_keeps_types_and_metadata(toy: Cohort, tmp_path: Path) -> None:
    table, path = landmark_table(toy), tmp_path / "rows.parquet"
    table.write(path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table.to_frame())
    metadata = json.loads(pq.read_schema(path).metadata[b"taxokine"])
    context = metadata["cohorts"].pop("toy")
    assert metadata == {"notes": list(table.notes), "units": table.units, "cohorts": {}}
    assert CohortContext(**context | {"same_patients_as": ()}) == table.cohorts["toy"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_written_whole_or_not_at_all(toy: Cohort, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("what stood here")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table" if suffix == ".parquet" else "pandas.DataFrame.to_csv", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        landmark_table(toy).write(path)
    assert path.read_text() == "what stood here"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_that_cannot_be_written(toy: Cohort, tmp_path: Path) -> None:
    table = landmark_table(toy)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    for name, match in (
        ("rows.xlsx", r"write to a \.parquet or a \.csv file"),
        ("none/rows.csv", "No such file or directory"),
        ("folder.csv", "Is a directory"),
        ("file/rows.parquet", "Not a directory"),
    ):
        with pytest.raises(InputError, match=match):
            table.write(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"folder.csv", "file"}


def test_an_empty_table_is_written_too(toy: Cohort, tmp_path: Path) -> None:
    table = landmark_table(toy, LandmarkSpec(landmark=-80, window=1))
    assert len(table) == 0
    table.write(tmp_path / "rows.parquet")
    assert len(pd.read_parquet(tmp_path / "rows.parquet")) == 0


def test_two_tables_of_the_same_patients_are_not_pooled(cohorts_dir):
    tables = [landmark_table(read_cohort(name, cohorts_dir)) for name in ("frankel_2017", "frankel_2017_qiime2")]
    with pytest.raises(InputError, match="same patients as frankel_2017"):
        pool_tables(tables)


def test_values_beyond_a_limit_keep_their_side_and_limit(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    blood = "patient,day,IL6,TNF\np1,-3,<3.2,>500\np2,-1,2,OOR<\np3,-1,7,9\n"
    cohort = read_cohort(write_cohort({"blood.csv": blood}), tmp_path)
    table = landmark_table(cohort)
    assert table.limits is not None
    np.testing.assert_array_equal(table.limits.lower, [[3.2, np.nan], [np.nan] * 2, [np.nan] * 2])
    np.testing.assert_array_equal(table.limits.upper, [[np.nan, 500], [np.nan] * 2, [np.nan] * 2])
    pooled = pool_tables([table, replace(table, cohorts={"other": table.cohorts["toy"]}, limits=None)])
    for part in (pooled, pooled.take(np.array([0, 3]))):
        candidates = list(table_candidates(part))
        texts = [[measurement.reading.text for measurement in candidate.immune] for candidate in candidates]
        assert texts[0] == ["<3.2", ">500"]
        assert texts[len(texts) // 2] == ["1.6", "500"]
    assert [measurement.reading.text for measurement in list(table_candidates(pooled))[1].immune] == [
        "2",
        "below range",
    ]
