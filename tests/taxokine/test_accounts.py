"""Users and keys, as the command line gives and takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from features.settings import settings
from serving.accounts import open_accounts
from taxokine.cli import main

WORDS = "an apple a day"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path))
    for name in ("TAXOKINE_DATABASE", "TAXOKINE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def run(*words: str, typed: str = "", status: int = 0) -> str:
    result = CliRunner().invoke(main, words, input=typed, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def test_a_user_is_added_changed_and_removed(home: Path) -> None:
    output = run("users", "add", "Anna", typed=f"{WORDS}\n{WORDS}\n")
    assert "Anna can sign in, as clinician" in output
    assert WORDS not in output
    assert open_accounts().sign_in("anna", WORDS)
    assert (home / "taxokine.db").exists()
    run("users", "role", "anna", "researcher")
    run("users", "password", "anna", "--password-stdin", typed="a pear a night\r\nand more\n")
    token = open_accounts().sign_in("anna", "a pear a night")
    assert token
    visitor = open_accounts().visitor(token)
    assert visitor
    assert visitor.role == "researcher"
    assert run("users", "list").split()[:2] == ["anna", "researcher"]
    assert "removed" not in run("users", "list")
    assert "can sign in no more" in run("users", "remove", "anna")
    assert open_accounts().visitor(token) is None
    assert "removed 2" in run("users", "list")


def test_a_password_typed_in_two_ways_is_asked_for_again() -> None:
    output = run("users", "add", "anna", typed=f"{WORDS}\nan apple a dya\n{WORDS}\n{WORDS}\n")
    assert "do not match" in output
    assert open_accounts().sign_in("anna", WORDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("users add boris", "the password is too short; use at least 12 characters"),
        ("users add dr/boris", "the name 'dr/boris' is not valid"),
        ("users password boris", "there is no user 'boris'; 'taxokine users list' lists the users"),
        ("users role boris clinician", "there is no user 'boris'"),
        ("users remove boris", "there is no user 'boris'"),
        ("users add boris --role surgeon", "'surgeon' is not one of 'clinician', 'researcher'"),
        ("keys revoke ward-3", "there is no valid key 'ward-3'"),
        ("keys add ward/3", "the name 'ward/3' is not valid"),
    ],
)
def test_an_invalid_command_prints_one_message_and_the_remedy(words: str, message: str) -> None:
    password = "too short" if words == "users add boris" else WORDS
    typed = ["--password-stdin"] if words.split()[1] in ("add", "password") and words.startswith("users") else []
    output = run(*words.split(), *typed, typed=password, status=2)
    assert message in output
    assert "Traceback" not in output


def test_keys_are_made_listed_and_revoked() -> None:
    result = CliRunner().invoke(main, ["keys", "add", "ward-3"])
    key = result.stdout.strip()
    assert "shown only now" in result.stderr
    assert open_accounts().keys.accept(key)
    listed = run("keys", "list")
    assert listed.split()[:2] == ["ward-3", f"…{key[-4:]}"]
    assert key not in listed
    run("keys", "revoke", "ward-3")
    assert not open_accounts().keys.accept(key)
    assert "revoked 2" in run("keys", "list")


def test_a_key_that_signs_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "trainer.pem"
    output = run("keys", "signing", str(file))
    assert f"give {file}.pub to the server" in output
    assert "PRIVATE" not in output
    assert "exists already" in run("keys", "signing", str(file), status=2)


def test_a_databases_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXOKINE_DATABASE", "postgresql://taxokine:top-secret@127.0.0.1:1/taxokine")
    settings.cache_clear()
    message = run("users", "list", status=1)
    assert "postgresql+psycopg://taxokine:***@127.0.0.1:1/taxokine cannot be opened" in message
    for output in (message, *(run(group, "--help") for group in ("users", "keys", "serve"))):
        assert "top-secret" not in output
