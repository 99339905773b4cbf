"""Batches: the same predictions as one by one, in every format; errors in their rows; limits; the record."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.batch import files, predicting, reader
from serving.batch.formats import MEDIA_TYPES, BatchFormat
from serving.batch.predicting import FileBatch
from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.recorder import Recorder
from serving.record.store import RecordStore

from .conftest import PROFILER, running, table

Rows = list[dict[str, Any]]
FORMATS: tuple[BatchFormat, ...] = ("csv", "parquet", "arrow")
PATH = "/v1/predictions/batch"
N = 12


def requests() -> Rows:
    """Return candidates as the API takes them one by one: censored, without stool, of another unit, of a late day."""
    data = table()
    bodies: Rows = []
    for i in range(N):
        values = dict(zip(data.taxa.names, data.taxa.values[i].tolist(), strict=True))
        bodies.append(
            {
                "patient": {"id": f"p{i}", "age": 40 + i, "sex": ("female", "male")[i % 2], "tumour_type": "melanoma"},
                "taxa": None
                if i == 3
                else {
                    "profiler": PROFILER if i != 4 else "kraken2",
                    "unit": "proportions",
                    "day": -3 if i != 5 else 40,
                    "clock": "day_ici",
                    "values": {name: value for name, value in values.items() if value > 0},
                },
                "immune": [
                    {"analyte": "IL-6", "value": "<3.2" if i == 6 else 3.5 + i, "unit": "pg/mL", "day": -1},
                    {"analyte": "CXCL8", "value": 0.012 + i / 100, "unit": "ng/mL", "day": -1},
                    {"analyte": "IL-10", "value": 7.5, "unit": "pg/mL", "day": -1},
                    {"analyte": "TNF-a", "value": ">1000" if i == 7 else None, "unit": "pg/mL", "day": -1},
                ],
            }
        )
    return bodies


def wide_rows() -> Rows:
    """Return the same candidates as rows of a file."""
    rows = []
    for body in requests():
        patient, taxa = body["patient"], body["taxa"] or {}
        rows.append(
            {
                "patient": patient["id"],
                "ward": "3",
                "tumour_type": patient["tumour_type"],
                "profiler": taxa.get("profiler"),
                "sample_day": taxa.get("day"),
                "clock": taxa.get("clock"),
                "draw_day": -1,
                "clinical:age": patient["age"],
                "clinical:sex": patient["sex"],
                **{
                    f"taxa:{name}": taxa.get("values", {}).get(name, 0.0 if taxa else None)
                    for name in table().taxa.names
                },
                **{f"immune:{item['analyte']} [{item['unit']}]": item["value"] for item in body["immune"]},
            }
        )
    return rows


def encoded(rows: Rows, kind: BatchFormat) -> bytes:
    frame = pd.DataFrame(rows)
    if kind == "csv":
        return frame.to_csv(index=False).encode()
    for name in frame.columns:
        if name.startswith("immune:") and frame[name].map(lambda cell: isinstance(cell, str)).any():
            frame[name] = [None if cell is None or cell != cell else str(cell) for cell in frame[name]]
    sink, arrow = io.BytesIO(), pa.Table.from_pandas(frame, preserve_index=False)
    if kind == "parquet":
        pq.write_table(arrow, sink)
    else:
        with pa.ipc.new_stream(sink, arrow.schema) as stream:
            stream.write_table(arrow, max_chunksize=5)
    return sink.getvalue()


def decoded(content: bytes, kind: BatchFormat) -> pd.DataFrame:
    if kind == "csv":
        return pd.read_csv(io.BytesIO(content), dtype={"ward": str})
    if kind == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pandas()
    return pa.ipc.open_stream(content).read_all().to_pandas()


def post(client: httpx.Client, content: bytes, kind: BatchFormat, **headers: str) -> httpx.Response:
    return client.post(PATH, content=content, headers={"Content-Type": MEDIA_TYPES[kind], **headers})


@pytest.mark.parametrize("kind", FORMATS)
def test_a_batch_predicts_what_the_api_predicts_one_by_one(client: httpx.Client, kind: BatchFormat) -> None:
    response = post(client, encoded(wide_rows(), kind), kind)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith(MEDIA_TYPES[kind])
    answers = decoded(response.content, kind)
    assert set(answers["ward"]) == {"3"}
    assert answers["error"].isna().all()
    verdicts = set()
    for number, body in enumerate(requests(), start=1):
        single = client.post("/v1/predictions", json=body).json()["answers"]
        rows = answers[answers["row"] == number]
        assert rows["outcome"].tolist() == [prediction["outcome"] for prediction in single]
        for row, prediction in zip(rows.itertuples(), single, strict=True):
            assert row.patient == body["patient"]["id"]
            assert row.verdict == prediction["trust"]["verdict"]
            assert (row.reasons or "") == "; ".join(prediction["trust"]["reasons"]) or row.reasons != row.reasons
            assert row.model == f"{prediction['model']['name']}/{prediction['model']['version']}"
            assert row.evidence == prediction["evidence"]["sentence"]
            verdicts.add(row.verdict)
            if prediction["probability"] is None:
                assert np.isnan(row.probability)
            else:
                assert row.probability == pytest.approx(prediction["probability"], abs=1e-6)
    assert len(verdicts) > 1


def test_a_bad_row_has_its_error_and_the_others_their_predictions(client: httpx.Client) -> None:
    names = ["patient", "clinical:age", "clinical:sex", "taxa:Genus0_species0", "immune:IL-6 [pg/mL]", "sample_day"]
    lines = [
        ("a", "61", "female", "1", "7", "-3"),
        ("", "61", "female", "1", "7", "-3"),
        ("c", "61", "woman", "1", "7", "-3"),
        ("d", "61", "female", "-1", "7", "-3"),
        ("e", "61", "female", "1,5", "7", "-3"),
        ("f", "61", "female", "1", "seven", "-3"),
        ("g", "61", "female", "1", "-2", "-3"),
        ("h", "61", "female", "0", "7", "-3"),
        ("i", "61", "female", "40", "7", "-3"),
        ("j", "61", "female", "1", "7"),
        ("k", "61", "female", "1", "1e300", "-3"),
        ("l", "61", "female", "1", "7", "Monday"),
        ("m", "old", "female", "1", "7", "-3"),
        ("n", "61", "female", "nan", "<3.2", ""),
    ]
    text = io.StringIO()
    csv.writer(text).writerows([names, *lines])
    response = post(client, text.getvalue().encode(), "csv")
    answers = decoded(response.content, "csv")
    errors = answers[answers["error"].notna()].set_index("row")["error"]
    expected = {
        2: "column 'patient': expected the id",
        3: "patient.sex: expected one of female, male, got 'woman'",
        4: "expected an abundance from 0",
        5: "column 'taxa:Genus0_species0': expected a number, got '1,5'; write the decimal mark as a point",
        6: "column 'immune:IL-6 [pg/mL]': ",
        7: "is negative, which no concentration is",
        8: "no taxon has an abundance above 0",
        9: "they look like percent",
        10: "the row has 5 cells, the header 6",
        11: "no measurement is larger than 1e+15: check the unit",
        12: "column 'sample_day': expected a number, got 'Monday'",
        13: "patient.age: expected a number",
    }
    assert list(errors.index) == list(expected)
    for number, message in expected.items():
        assert message in errors[number]
    good = answers[answers["error"].isna()]
    assert sorted(set(good["row"])) == [1, 14]
    assert good["outcome"].notna().all()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("patient,taxa:a,patient", "column 'patient' is there twice"),
        ("id,taxa:a", "no column is named 'patient'"),
        ("patient,ward", "no column holds measurements"),
        ("patient,taxa:a,immune:IL-6", "states no unit; name it 'immune:IL-6 [pg/mL]'"),
        ("patient,taxa:a,immune:IL-6 [IU/mL]", "'IU/mL' is no unit that is read"),
        ("patient,taxa:a,cytokine:IL-6", "begins with none of taxa:, immune:, clinical:, donor:"),
        ("patient,taxa:a,tumor_type", "column 'tumor_type' is not read; name it 'tumour_type'"),
        ("Patient,taxa:a", "column 'Patient' is not read; name it 'patient'"),
        ("patient,taxa:a,age", "column 'age' is a measurement without its block"),
        ("patient,taxa:a,probability", "has the name of one that the answer adds"),
        ("patient;taxa:a", "the header is one column with ';' in it; separate the columns by commas"),
        ("", "the file has no columns"),
    ],
)
def test_a_header_that_cannot_be_told_is_refused(client: httpx.Client, header: str, message: str) -> None:
    response = post(client, f"{header}\np1,1,2\n".encode(), "csv")
    assert response.status_code == 422
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"patient,taxa:a\n", "csv", "the file has no rows"),
        (b"PAR1 and nothing else PAR1", "parquet", "the file breaks off or is not parquet"),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\x7f" * 60, "arrow", "the file breaks off or is not arrow"),
        ("patient,taxa:é\np,1".encode("latin-1"), "csv", "the file breaks off or is not csv"),
        (b"", "parquet", "the file breaks off or is not parquet"),
    ],
)
def test_a_file_that_is_none_is_refused(client: httpx.Client, content: bytes, kind: BatchFormat, message: str) -> None:
    response = post(client, content, kind)
    assert response.status_code == 422
    assert message in response.json()["error"]["message"]


def test_no_content_of_a_file_is_an_error_of_the_reader(tmp_path: Path) -> None:
    far = pa.table({"patient": ["p"], "clinical:age": pa.array([2**62], pa.timestamp("s"))})
    nested = pa.table({"patient": ["p"]}).replace_schema_metadata({"taxokine": "[" * 100_000})
    for number, content in enumerate((far, nested)):
        path = tmp_path / f"{number}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, content.schema) as stream:
            stream.write_table(content)
        with pytest.raises(InputError, match="is not arrow"):
            list(files.read_batch(path, "arrow"))


def test_whoever_has_read_a_batch_may_send_the_next(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    close = FileBatch.close

    def close_slowly(batch: FileBatch) -> None:
        time.sleep(0.3)
        close(batch)

    monkeypatch.setattr(FileBatch, "close", close_slowly)
    content = encoded(wide_rows()[:2], "csv")
    assert [post(client, content, "csv").status_code for _ in range(2)] == [200, 200]


def test_formats_are_negotiated(client: httpx.Client) -> None:
    content = encoded(wide_rows()[:2], "csv")
    assert decoded(post(client, content, "csv", Accept=MEDIA_TYPES["parquet"]).content, "parquet")["row"].max() == 2
    assert post(client, content, "csv", Accept="text/*").headers["Content-Type"].startswith("text/csv")
    assert post(client, content, "csv", Accept="application/json").status_code == 406
    json_body = client.post(PATH, json={"patient": {"id": "x"}})
    assert (json_body.status_code, "send a Content-Type of text/csv" in json_body.text) == (415, True)
    zipped = post(client, content, "csv", **{"Content-Encoding": "gzip"})
    assert zipped.status_code == 415
    assert httpx.post(str(client.base_url.join(PATH)), content=content).status_code == 401
    parquet = pq.read_table(io.BytesIO(post(client, content, "csv", Accept=MEDIA_TYPES["parquet"]).content))
    assert "objective_response/0" in json.loads(parquet.schema.metadata[b"taxokine"])["evidence"]


def test_outcomes_are_chosen_and_response_and_toxicity_stay_together(client: httpx.Client) -> None:
    headers, content = {"Content-Type": "text/csv"}, encoded(wide_rows()[:1], "csv")
    response = client.post(PATH, params={"outcome": "disease_control"}, content=content, headers=headers)
    assert decoded(response.content, "csv")["outcome"].tolist() == ["disease_control", "toxicity_any"]
    assert client.post(PATH, params={"outcome": "luck"}, content=content, headers=headers).status_code == 422


def test_a_file_that_breaks_off_keeps_the_predictions_before(client: httpx.Client) -> None:
    rows = wide_rows() * 30
    text = encoded(rows, "csv")
    cut = text[: len(text) * 9 // 10] + b"\xff\xff"
    answers = decoded(post(client, cut, "csv").content, "csv")
    last = answers.iloc[-1]
    assert last["error"].startswith("from this row on: the file breaks off or is not csv")
    assert answers["row"].nunique() == last["row"] > 200
    assert answers["error"].notna().sum() == 1


def test_more_rows_than_a_batch_may_have_are_named(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting.FileBatch.__init__, "__defaults__", (None, 128))
    answers = decoded(post(client, encoded(wide_rows() * 30, "csv"), "csv").content, "csv")
    assert answers["row"].max() == 129
    assert "a batch has at most 128 rows; send this row" in answers["error"].iloc[-1]


def test_a_parquet_file_that_unpacks_to_gigabytes_ends_the_reader_alone(client: httpx.Client) -> None:
    # 2 GB of one letter in some kB.
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200, dtype=np.int32)), pa.array(["x" * 10_000_000]))
    arrow = pa.table({"patient": column.cast(pa.large_string()), "taxa:a": [1.0] * 200})
    sink = io.BytesIO()
    pq.write_table(arrow, sink, use_dictionary=True, compression="zstd")
    assert len(sink.getvalue()) < 2**20
    response = post(client, sink.getvalue(), "parquet")
    assert response.status_code == 422
    assert "takes more than 400 MB of memory" in response.json()["error"]["message"]
    assert client.get("/healthz").status_code == 200
    assert post(client, encoded(wide_rows()[:1], "parquet"), "parquet").status_code == 200


def test_every_row_is_an_entry_of_its_patient_in_the_record(
    tmp_path: Path, models: Mapping[str, list[ServedModel]]
) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    accounts, store = Accounts(engine), RecordStore(engine, RecordKey(b"k" * 32), "inputs")
    headers = {"Authorization": f"Bearer {accounts.keys.add('ward-3')}"}
    with (
        running(create_app(models, accounts, recorder=Recorder(store))) as address,
        httpx.Client(base_url=address, headers=headers) as http,
    ):
        response = post(http, encoded([*wide_rows(), {"patient": ""}], "csv"), "csv", **{"X-Request-ID": "b-1"})
        assert response.headers["X-Request-ID"] == "b-1"
        single = http.post("/v1/predictions", json=requests()[6])
        # Without its record, no answer.
        with engine.begin():
            locked = post(http, encoded(wide_rows(), "csv"), "csv")
        assert (locked.status_code, locked.headers["Retry-After"]) == (503, "5")
    answers = decoded(response.content, "csv")
    assert answers["record"].notna().sum() == 3 * N
    assert sorted(answers["record"].dropna().unique()) == list(range(1, N + 1))
    for number, entry in enumerate(store.entries()[:N], start=1):
        assert (entry.asker, entry.request_id, entry.route) == ("key ward-3", "b-1", "POST /v1/predictions/batch")
        patient = answers.loc[answers["record"] == number, "patient"].iloc[0]
        assert number in {item.number for item in store.entries(patient)}
    assert store.verify() == []
    # The inputs are those of the same question to the API.
    recorded = store.open_entry(int(answers.loc[answers["patient"] == "p6", "record"].iloc[0]))[2]
    assert json.loads(recorded.inputs or "") == json.loads(
        store.open_entry(int(single.headers["Taxokine-Record"]))[2].inputs or ""
    )


def test_the_reader_ends_with_the_batch(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(encoded(wide_rows() * 300, "csv"))
    with reader.BatchReader(file, "csv") as batch_reader:
        assert len(next(batch_reader.chunks())) == files.CHUNK_ROWS
        process = batch_reader._process
        assert process.is_alive()
    with pytest.raises(ValueError, match="closed"):
        process.is_alive()
