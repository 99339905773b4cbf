"""Hostile files: each is read or refused with its name, in little time and memory, at every door."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import biom
import h5py
import numpy as np
import pytest

from features import taxa_source
from features.draft.file_kinds import table_at_finest_rank
from features.errors import FileError
from features.tables import numbers
from features.tables.numbers import read_number_table
from features.tables.profiles import read_biom

MAX_SECONDS, MAX_MEGABYTES = 2.0, 300.0
TABLES = {"formula.tsv", "ok.biom", "ok.qza", "traversal.qza", "utf16be.tsv", "utf16le.tsv", "utf32.tsv", "xss.tsv"}
SHEETS = {"arab.csv", "numbers.tsv", "one_thousand.tsv"}
"""Sheets of text, whose cells are refused where a number is expected."""

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from features.draft.file_kinds import find_file_kind, table_at_finest_rank
from features.errors import FileError
from features.tables.text import read_text_table
from serving.upload.intake import UploadedFile, store
from serving.upload.report import UnreadableFile
import biom, h5py

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def read_as_cohorts_do(path):
    kind = find_file_kind(path)
    if kind == "sheet":
        return read_text_table(path)
    return table_at_finest_rank(path, kind, None)

def read_as_uploads_are(path):
    return read_as_cohorts_do(store(UploadedFile(path.name, path.read_bytes()), Path(sys.argv[1]) / "stored").path)

for name in sys.argv[2:]:
    path, results = Path(name), []
    for read in (read_as_cohorts_do, read_as_uploads_are):
        base, start = megabytes(), time.process_time()
        try:
            read(path)
            outcome = "read"
        except FileError as error:
            outcome = "refused: " + str(error)
        except UnreadableFile as error:
            outcome = "refused: " + error.problem.observed
        results.append([outcome, time.process_time() - start, megabytes() - base])
    print(json.dumps([path.name, results]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(cases_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Return what each door makes of each file: the outcome, seconds and megabytes."""
    files = [str(path) for path in sorted((cases_dir / "hostile").iterdir()) if path.suffix not in (".py", ".md")]
    command = [sys.executable, "-c", _CHILD, str(tmp_path_factory.mktemp("stored")), *files]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout.splitlines()
    read = dict(map(json.loads, lines))
    assert list(read) == [Path(file).name for file in files], "the process ended at the file after the last"
    return read


def test_no_hostile_file_takes_much_time_or_memory(outcomes: dict[str, list]) -> None:
    costly = {
        name: doors
        for name, doors in outcomes.items()
        if any(seconds > MAX_SECONDS or megabytes > MAX_MEGABYTES for _, seconds, megabytes in doors)
    }
    assert costly == {}


def test_every_hostile_file_is_read_or_refused_alike_at_each_door(outcomes: dict[str, list]) -> None:
    verdicts = {name: [outcome.partition(":")[0] for outcome, *_ in doors] for name, doors in outcomes.items()}
    assert {name for name, doors in verdicts.items() if len(set(doors)) > 1} == set()
    assert {name for name, doors in verdicts.items() if doors[0] == "read"} == TABLES | SHEETS
    assert {outcome for doors in verdicts.values() for outcome in doors} == {"read", "refused"}


@pytest.mark.parametrize("name", ["numbers.tsv", "one_thousand.tsv"])
def test_numbers_of_other_scripts_and_languages_are_refused(cases_dir: Path, name: str) -> None:
    with pytest.raises(FileError, match="expected a finite number of at least zero"):
        read_number_table(cases_dir / "hostile" / name)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "id;s1\n" + "".join(f"s__T{i};{' ' * n},\n" for i in range(20)),
        lambda n: "id;s1\n" + "".join(f"s__T{i};{' ' * n}1,2\n" for i in range(20)),
        lambda n: "id\ts1\n" + "".join(f"s__T{i}{'.' * n}x{' ' * n}y\t1\n" for i in range(20)),
        lambda n: f"id\ts1{'(' * n}a{' _' * n}b\ns__T1\t1\n",
        lambda n: "id\ts1\n" + "".join(f"bin{'9' * n}{i} x\t1\n" for i in range(20)),
    ],
    ids=["blanks", "blanks and a number", "dots and blanks in a name", "brackets in a header", "digits in a name"],
)
def test_runs_of_one_character_cost_time_in_proportion(tmp_path: Path, make: Callable[[int], str]) -> None:
    path = tmp_path / "runs.txt"
    path.write_text(make(4000))
    start = time.process_time()
    with suppress(FileError):
        table_at_finest_rank(path, "table/columns", None)
    assert time.process_time() - start < MAX_SECONDS


@pytest.mark.parametrize("is_header", [False, True])
def test_names_and_rows_beyond_their_limit_are_refused_with_it(tmp_path: Path, is_header: bool) -> None:
    path, name = tmp_path / "t.tsv", "s__" + "x" * 10_000
    path.write_text(f"id\t{name}\ns__A\t1\n" if is_header else f"id\ts1\n{name}\t1\n")
    with pytest.raises(FileError, match="at most 10,000 characters, got one of 10,003") as caught:
        read_number_table(path)
    assert caught.value.row == (1 if is_header else 2)


def test_rows_beyond_their_limit_are_refused_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "MAX_LABELS", 50)
    path = tmp_path / "t.tsv"
    path.write_text("id\ts1\n" + "".join(f"s__T{i}\t1\n" for i in range(51)))
    with pytest.raises(FileError, match=r"at most 50 rows of numbers, got more\. Sum features") as caught:
        read_number_table(path)
    assert caught.value.row == 52
    path.write_text("id\t" + "\t".join(f"s__T{i}" for i in range(51)) + "\nA" + "\t1" * 51 + "\n")
    with pytest.raises(FileError, match="at most 50 columns of numbers, got 51"):
        read_number_table(path)


def test_a_table_is_read_once_whatever_its_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads, read = tmp_path / "t.tsv", [], taxa_source.read_number_table
    path.write_text("id\ts1\ts2\nOTU_1\t1\t0\nOTU_2\t2\t0\nOTU_3\t2\t5\n")
    monkeypatch.setattr(taxa_source, "read_number_table", lambda *words: reads.append(words) or read(*words))
    rank, table = table_at_finest_rank(path, "table/columns", None)
    assert (rank, len(reads)) == ("feature", 1)
    np.testing.assert_array_equal(table.values, [[1, 2, 2], [0, 0, 5]])


def test_the_matrix_that_is_read_is_the_one_that_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "t.biom"
    table = biom.Table(np.array([[1.0, 2], [3, 4]]), ["s__A", "s__B"], ["x", "y"])
    with h5py.File(path, "w") as file:
        table.to_hdf5(file, "test")
        file["sample/matrix/data"][:] = 9
    np.testing.assert_array_equal(read_biom(path, is_artifact=False).values.toarray(), [[1, 2], [3, 4]])
    with h5py.File(path, "r+") as file:
        file["observation/matrix/indices"][:] = 7
    with pytest.raises(FileError, match="indices from 0 to 1, got indices from 7 to 7"):
        read_biom(path, is_artifact=False)


@pytest.mark.parametrize("is_json", [False, True])
def test_long_ids_of_biom_tables_are_refused(tmp_path: Path, is_json: bool) -> None:
    path, table = tmp_path / "t.biom", biom.Table(np.ones((2, 1)), ["x" * 20_000, "y"], ["s1"])
    if is_json:
        path.write_text(table.to_json("a test"))
    else:
        with h5py.File(path, "w") as file:
            table.to_hdf5(file, "a test")
    with pytest.raises(FileError, match="at most 10,000 characters, got one of 20,000"):
        read_biom(path, is_artifact=False)
