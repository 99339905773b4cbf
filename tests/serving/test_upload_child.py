"""Uploaded files are read in a process of their own: what it reads, and what stops it."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

import pytest

from models.predict import ServedModel
from serving.instruments import REGISTRY
from serving.upload import Field, Form, UploadedFile, child, understand
from serving.upload.child import read_in_child
from serving.upload.folder import delete_abandoned_folders, upload_folder
from serving.upload.reading import UploadContent
from serving.upload.sheets import MAX_COLUMNS
from serving.upload.training_columns import TrainingColumns

from .conftest import PROFILER

PROFILE = UploadedFile("stool.tsv", b"taxon\tS1\ns__Genus0_species0\t40.5\ns__Genus1_species1\t59.5\n")
BLOOD = UploadedFile("blood.csv", b"analyte,value,unit\nIL-6,<3.2,pg/mL\nIL-8,12.5,pg/mL\n")


def test_another_process_reads_what_this_one_reads(models: Mapping[str, list[ServedModel]]) -> None:
    files: dict[Field, UploadedFile] = {"taxa": PROFILE, "immune": BLOOD}
    form = Form(patient="Zoë", profiler=PROFILER, day=-3, clock="day_ici")
    expected = understand(files, form, models)
    assert expected.request is not None
    assert understand(files, form, models, read_in_child) == expected


def test_the_shared_hostile_files_are_reported_in_time(cases_dir: Path) -> None:
    paths = [path for path in sorted((cases_dir / "hostile").iterdir()) if path.suffix != ".py"]
    assert len(paths) > 40
    training = TrainingColumns({})
    for path in paths:
        started = time.monotonic()
        with upload_folder() as folder:
            reading = read_in_child({"taxa": UploadedFile(path.name, path.read_bytes())}, Form(), training, folder)
        assert time.monotonic() - started < child.MAX_SECONDS
        assert reading.request or reading.problems


@pytest.fixture(scope="module")
def large_table() -> UploadedFile:
    samples = [f"S{i}" for i in range(100)]
    rows = (f"s__Genus{i}_species{i}\t" + "\t".join(["0.125"] * len(samples)) for i in range(2000))
    return UploadedFile("large.tsv", "\n".join(["taxon\t" + "\t".join(samples), *rows]).encode())


def read(file: UploadedFile, folder: Path) -> UploadContent:
    return read_in_child({"taxa": file}, Form(), TrainingColumns({}), folder)


def signal_the_reader(number: signal.Signals) -> Thread:
    def send() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.002)
        os.kill(children[0].pid, number)

    thread = Thread(target=send)
    thread.start()
    return thread


def ended_readers(kind: str) -> float:
    return REGISTRY.get_sample_value("taxokine_uploads_total", {"reader": kind}) or 0.0


def test_a_file_that_needs_too_much_memory_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ended_readers("too_large")
    monkeypatch.setattr(child, "MAX_MEMORY", 40 * 2**20)
    (problem,) = read(UploadedFile("bomb.tsv.gz", gzip.compress(bytes(64 * 2**20))), tmp_path).problems
    assert (problem.kind, problem.severity, problem.file) == ("too_large", "error", "bomb.tsv.gz")
    assert problem.observed == "a file that takes more than 40 MB of memory to read"
    assert ended_readers("too_large") == before + 1


def test_a_file_that_takes_too_long_is_reported(
    large_table: UploadedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MAX_SECONDS", 1)
    before = ended_readers("too_long")
    # A stopped process takes no time to compute, and would never end.
    thread = signal_the_reader(signal.SIGSTOP)
    (problem,) = read(large_table, tmp_path).problems
    thread.join()
    assert (problem.kind, problem.observed) == ("too_large", "a file that takes longer than 1 s to read")
    assert ended_readers("too_long") == before + 1


@pytest.mark.parametrize("field", ["clinical", "immune"])
def test_a_table_of_too_many_columns_is_reported(field: Field, tmp_path: Path) -> None:
    names = ["patient", "age", *(f"c{i}" for i in range(MAX_COLUMNS))]
    table = f"{','.join(names)}\n{','.join('1' for _ in names)}\n"
    (problem,) = read_in_child(
        {field: UploadedFile("t.csv", table.encode())}, Form(), TrainingColumns({}), tmp_path
    ).problems
    assert (problem.kind, problem.observed, problem.requirement) == ("too_large", "20,002 columns", "at most 20,000")


def test_a_crash_of_the_reader_is_reported(large_table: UploadedFile, tmp_path: Path) -> None:
    before = ended_readers("damaged"), ended_readers("read")
    thread = signal_the_reader(signal.SIGSEGV)
    (problem,) = read(large_table, tmp_path).problems
    thread.join()
    assert (problem.kind, problem.file) == ("unreadable", "large.tsv")
    assert read(PROFILE, tmp_path).problems == ()
    assert (ended_readers("damaged"), ended_readers("read")) == (before[0] + 1, before[1] + 1)


def test_nothing_remains_of_an_upload_whose_reader_crashed(
    large_table: UploadedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    thread = signal_the_reader(signal.SIGKILL)
    assert understand({"taxa": large_table}, Form(), {}, read_in_child).request is None
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_only_old_folders_of_uploads_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ("taxokine-upload-old", "taxokine-upload-new", "another-old")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "taxa").write_text("Jane Doe")
    (tmp_path / "taxokine-upload-link").symlink_to(tmp_path / "another-old")
    for name in ("taxokine-upload-old", "another-old", "taxokine-upload-link"):
        os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    delete_abandoned_folders()
    assert not (tmp_path / "taxokine-upload-old").exists()
    assert (tmp_path / "taxokine-upload-new" / "taxa").exists()
    assert (tmp_path / "another-old" / "taxa").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("first_use", ["start_reader()", "BatchReader(Path(os.devnull), 'csv')"])
def test_the_reader_inherits_no_secret(first_use: str) -> None:
    script = f"""
import os
import time
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from features.errors import InputError
from serving.batch.reader import BatchReader
from serving.upload.child import start_reader
with suppress(InputError):
    {first_use}
assert "ARROW_DEFAULT_MEMORY_POOL" not in os.environ
# A process whose program is just being loaded shows no environment yet.
for _ in range(1000):
    if environment := open(f"/proc/{{forkserver._forkserver._forkserver_pid}}/environ").read():
        break
    time.sleep(0.01)
print(environment)
"""
    secrets = {"TAXOKINE_DATABASE": "postgresql://u:s3cret@h/d", "TAXOKINE_RECORD_KEY": "s3cret", "ODD_TOKEN": "s3cret"}
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, env={**os.environ, **secrets}, capture_output=True, text=True, check=True).stdout
    assert "PATH=" in printed
    assert "s3cret" not in printed
    assert "ARROW_DEFAULT_MEMORY_POOL=system" in printed
