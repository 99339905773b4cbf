"""The record of questions, as the command line shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, update

from features.errors import InputError
from features.settings import settings
from models.patient_input import Candidate
from serving.database import open_database, record_entries
from serving.record.answer import RecordedProbability
from serving.record.question import Inputs, Question
from serving.record.recorder import open_recorder
from taxokine.cli import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("TAXOKINE_DATABASE", "TAXOKINE_RECORD", "TAXOKINE_RECORD_KEY", "TAXOKINE_UNRECORDED"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["audit", *words], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def ask(*patients: str) -> None:
    recorder = open_recorder()
    answer = (RecordedProbability("toxicity_any", "as measured", "toxicity", "3", 0.25, "ok"),)
    for patient in patients:
        question = Question("key ward-3", "r1", "POST /v1/predictions", patient, Inputs(Candidate({"age": 61})), answer)
        recorder.record_in_thread(question)


def test_a_record_is_listed_verified_and_erased(home: Path) -> None:
    head = home / "head.json"
    head.write_text(run("head"))
    assert "0 entries: the chain is whole" in run("verify", "--head", str(head))
    ask("p1", "p2", "p1")
    lines = run("list", "--patient", "p1").splitlines()
    assert [line.split()[0] for line in lines] == ["1", "3"]
    assert "key ward-3" in lines[0]
    assert "toxicity/3" in lines[0]
    head.write_text(run("head"))
    assert json.loads(head.read_text())["number"] == 3
    assert "3 entries: the chain is whole and holds the head of entry 3" in run("verify", "--head", str(head))
    assert "2 entries can no longer be opened" in run("erase", "p1", "--yes")
    assert "of a patient who was erased" in run("replay", "1", status=2)
    assert "4 entries: the chain is whole" in run("verify", "--head", str(head))
    assert "no entry of this patient" in run("erase", "p1", "--yes", status=2)


def test_a_changed_record_ends_with_status_1_and_says_where(home: Path) -> None:
    ask("p1", "p2", "p3")
    (home / "head.json").write_text(run("head"))
    engine, number = open_database(settings().database), record_entries.c.number
    with engine.begin() as connection:
        connection.execute(delete(record_entries).where(number == 3))
    assert "its end may have been removed" in run("verify")
    assert "had 3: its end was removed" in run("verify", "--head", str(home / "head.json"), status=1)
    with engine.begin() as connection:
        connection.execute(update(record_entries).where(number == 1).values(asker="key ward-4"))
    assert "entry 1 does not fit the one before it" in run("verify", status=1)


def test_a_record_that_was_restored_without_its_key_is_opened_by_no_other(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("p1")
    (home / "head.json").write_text(run("head"))
    key = home / "record.key"
    copy = key.read_text()
    key.unlink()
    for words in (("verify",), ("list",), ("head",)):
        assert f"{key} is missing, and the record has 1 entry under its key: restore the file" in run(*words, status=2)
    with pytest.raises(InputError, match="begin a new record in another database"):
        open_recorder()
    assert not key.exists()
    key.write_text("ab" * 32)
    key.chmod(0o600)
    for words in (("verify",), ("list",), ("erase", "p1", "--yes")):
        assert f"{key} is not the key under which the record's entries were made" in run(*words, status=2)
    with pytest.raises(InputError, match="restore that key from its copy"):
        open_recorder()
    monkeypatch.setenv("TAXOKINE_RECORD_KEY", copy.strip())
    settings.cache_clear()
    assert "1 entry: the chain is whole" in run("verify", "--head", str(home / "head.json"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TAXOKINE_RECORD", "all", "TAXOKINE_RECORD is 'all'; expected digest, or inputs"),
        ("TAXOKINE_RECORD_KEY", "abc", "TAXOKINE_RECORD_KEY is not the key of the record; expected 64 hexadecimal"),
    ],
)
def test_a_setting_that_is_not_valid_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    settings.cache_clear()
    assert message in run("list", status=2)


def test_what_becomes_of_an_unrecorded_answer_is_one_of_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXOKINE_UNRECORDED", "perhaps")
    settings.cache_clear()
    with pytest.raises(InputError, match="TAXOKINE_UNRECORDED is 'perhaps'; expected refuse, or give"):
        open_recorder()


def test_what_cannot_be_replayed_says_why(home: Path) -> None:
    ask("p1")
    assert "give the request as it was sent, with --request FILE" in run("replay", "1", status=2)
    (home / "request.json").write_text('{"patient": {"age": 61}}')
    assert "patient.id: Field required" in run("replay", "1", "--request", str(home / "request.json"), status=2)
    (home / "request.json").write_text('{"patient": {"id": "p1", "age": 62}}')
    assert "is not the one of entry 1" in run("replay", "1", "--request", str(home / "request.json"), status=2)
    (home / "request.json").write_text('{"patient": {"id": "p1", "age": 61}}')
    output = run("replay", "1", "--request", str(home / "request.json"), status=1)
    assert "no model 'toxicity/3'" in output
    (home / "head.json").write_text("3")
    assert "this is no head of a record" in run("verify", "--head", str(home / "head.json"), status=2)
    assert "the record has no entry 9" in run("replay", "9", status=1)


@pytest.mark.parametrize("words", [("audit", "list"), ("audit", "head"), ("audit", "verify"), ("users", "list")])
def test_the_record_and_the_accounts_are_opened_without_the_libraries_of_models(words: tuple[str, ...]) -> None:
    heavy = "{'numpy', 'pandas', 'scipy', 'sklearn', 'xgboost', 'mlflow', 'fastapi'}"
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom taxokine.cli import main\n"
        f"result = CliRunner().invoke(main, {list(words)}, catch_exceptions=False)\n"
        f"assert result.exit_code == 0, result.output\nprint(*({heavy} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"
