"""Hostile files: each is read or refused with its name, in little time and memory, at every door."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import FileError
from features.tables.numbers import read_number_table

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
