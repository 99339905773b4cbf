"""Users, sessions and API keys, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, event, select

from features.errors import InputError
from features.settings import settings
from serving.accounts import (
    FAILURE_WINDOW,
    KEY_CACHE,
    LONGEST_IDLE,
    LONGEST_SESSION,
    MAX_FAILURES,
    MAX_FAILURES_EVERYWHERE,
    Accounts,
    Visitor,
    open_accounts,
)
from serving.database import metadata, open_database, users
from serving.errors import TooManyAttempts

WORDS = "an apple a day"


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


class Quick(PasswordHasher):
    """Argon2id at its least cost, which counts what it computes and may do something before it verifies."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=8, parallelism=1)
        self.computed = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def hash(self, *args: object, **kwargs: object) -> str:
        self.computed += 1
        return super().hash(*args, **kwargs)  # type: ignore[arg-type]

    def verify(self, *args: object) -> bool:
        self.computed += 1
        self.meanwhile()
        return super().verify(*args)  # type: ignore[arg-type]


@pytest.fixture
def engine(uri: str) -> Iterator[Engine]:
    engine = open_database(uri)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hasher() -> Quick:
    return Quick()


@pytest.fixture
def accounts(engine: Engine, hasher: Quick, clock: Clock) -> Accounts:
    accounts = Accounts(engine, hasher=hasher, now=clock)
    accounts.add_user("anna", "clinician", WORDS)
    return accounts


def signed_in(accounts: Accounts, name: str = "anna", password: str = WORDS) -> str:
    token = accounts.sign_in(name, password)
    assert token is not None
    return token


def opened(accounts: Accounts, token: str) -> Visitor:
    visitor = accounts.visitor(token)
    assert visitor is not None
    return visitor


def fail(accounts: Accounts, name: str = "anna", times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        assert accounts.sign_in(name, "a guess or two") is None


def database_text(engine: Engine) -> str:
    """Return the content of the database as text."""
    with engine.begin() as connection:
        return "\n".join(repr(row) for table in metadata.tables.values() for row in connection.execute(select(table)))


@contextmanager
def queries(engine: Engine) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_a_name_and_its_password_open_a_session(accounts: Accounts) -> None:
    accounts.add_user("boris", "researcher", "two pears a night")
    visitor, second_visitor = opened(accounts, signed_in(accounts)), opened(accounts, signed_in(accounts))
    assert (visitor.name, visitor.role) == ("anna", "clinician")
    assert opened(accounts, signed_in(accounts, "boris", "two pears a night")).role == "researcher"
    assert accounts.sign_in("anna", "two pears a night") is None
    assert accounts.sign_in("boris ", WORDS) is None
    assert accounts.visitor("") is None
    assert len(visitor.csrf) == 64
    assert visitor.csrf != second_visitor.csrf


def test_the_csrf_token_stays_for_a_session(accounts: Accounts) -> None:
    token = signed_in(accounts)
    assert opened(accounts, token).csrf == opened(accounts, token).csrf


def test_names_and_passwords_are_normalised(accounts: Accounts) -> None:
    typed, composed = unicodedata.normalize("NFD", "zoë"), unicodedata.normalize("NFC", "zoë")
    accounts.add_user(typed.upper(), "clinician", typed * 4)
    assert opened(accounts, signed_in(accounts, f" {composed} ", composed * 4)).name == composed
    assert accounts.sign_in(composed, composed.upper() * 4) is None


def test_no_secret_is_stored_or_logged(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "sqlalchemy.engine")
    engine = open_database(uri)
    accounts = Accounts(engine, hasher=Quick())
    accounts.add_user("anna", "clinician", WORDS)
    token, key = signed_in(accounts), accounts.keys.add("ward-3")
    accounts.sign_in("a password typed for a name", WORDS)
    visitor = opened(accounts, token)
    assert accounts.keys.accept(key)
    text = database_text(engine)
    for secret in (token, key):
        assert repr(hashlib.sha256(secret.encode()).digest()) in text
        assert len(secret) == 43
    assert "$argon2id$" in text
    assert "INSERT INTO sessions" in caplog.text
    contents = f"{accounts.users()} {accounts.keys.descriptions()} {visitor} {vars(accounts)} {vars(accounts.keys)}"
    output = f"{text} {caplog.text} {contents}"
    for secret in (token, key, WORDS, visitor.csrf, "typed for a name"):
        assert secret not in output
    assert "argon2" not in repr(accounts.users())
    engine.dispose()


def test_an_idle_session_ends(accounts: Accounts, clock: Clock) -> None:
    token = signed_in(accounts)
    assert opened(accounts, token).expires == clock.time + LONGEST_IDLE
    clock.time += LONGEST_IDLE - timedelta(seconds=1)
    assert opened(accounts, token).expires == clock.time + LONGEST_IDLE
    clock.time += LONGEST_IDLE
    assert accounts.visitor(token) is None


def test_a_session_ends_after_its_longest_duration(accounts: Accounts, clock: Clock) -> None:
    token, start = signed_in(accounts), clock.time
    while clock.time < start + LONGEST_SESSION:
        assert opened(accounts, token).expires <= start + LONGEST_SESSION
        clock.time += timedelta(minutes=30)
    assert accounts.visitor(token) is None


def test_the_last_request_is_stored_once_a_minute(accounts: Accounts, engine: Engine, clock: Clock) -> None:
    token = signed_in(accounts)
    with queries(engine) as statements:
        for _ in range(60):
            clock.time += timedelta(seconds=2)
            opened(accounts, token)
    assert len([statement for statement in statements if statement.startswith("UPDATE")]) == 2


def test_ended_sessions_are_deleted(accounts: Accounts, engine: Engine, clock: Clock) -> None:
    signed_in(accounts)
    clock.time += LONGEST_IDLE
    token = signed_in(accounts)
    assert database_text(engine).count("\n") == 1
    accounts.sign_out(token)
    assert database_text(engine).count("\n") == 0
    assert accounts.visitor(token) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.set_password("Anna", "a pear a night"),
        lambda accounts: accounts.set_role("Anna", "researcher"),
        lambda accounts: accounts.remove_user("Anna"),
    ],
    ids=["password", "role", "remove"],
)
def test_a_changed_user_must_sign_in_again(accounts: Accounts, change: Callable[[Accounts], None]) -> None:
    accounts.add_user("boris", "researcher", WORDS)
    token, token_of_boris = signed_in(accounts), signed_in(accounts, "boris")
    change(accounts)
    assert accounts.visitor(token) is None
    assert opened(accounts, token_of_boris).name == "boris"


def test_a_changed_password_replaces_the_earlier_one(accounts: Accounts) -> None:
    accounts.set_password("anna", "a pear a night")
    assert accounts.sign_in("anna", WORDS) is None
    signed_in(accounts, "anna", "a pear a night")


def test_a_changed_role_applies_to_the_next_session(accounts: Accounts) -> None:
    accounts.set_role("anna", "researcher")
    assert opened(accounts, signed_in(accounts)).role == "researcher"


def test_a_removed_user_can_be_added_again(accounts: Accounts, clock: Clock) -> None:
    accounts.remove_user("anna")
    assert accounts.sign_in("anna", WORDS) is None
    assert [user.disabled for user in accounts.users()] == [clock.time]
    with pytest.raises(InputError, match="there is no user 'anna'; 'taxokine users list'"):
        accounts.set_password("anna", WORDS)
    accounts.add_user("anna", "researcher", "a pear a night")
    assert accounts.sign_in("anna", WORDS) is None
    assert opened(accounts, signed_in(accounts, "anna", "a pear a night")).role == "researcher"
    assert [user.disabled for user in accounts.users()] == [None]


@pytest.mark.parametrize(
    ("name", "role", "password", "message"),
    [
        ("anna", "clinician", WORDS, "the user 'anna' exists already"),
        ("ANNA", "clinician", WORDS, "the user 'anna' exists already"),
        ("", "clinician", WORDS, "the name '' is not valid"),
        ("dr anna", "clinician", WORDS, "is not valid; use up to 64 letters"),
        ("a" * 65, "clinician", WORDS, "is not valid"),
        ("boris", "surgeon", WORDS, "no role 'surgeon'; choose one of clinician, researcher"),
        ("boris", "clinician", "elevenchars", "too short; use at least 12 characters"),
        ("boris.borisov", "clinician", "Boris.Borisov", "the password is the user's name"),
    ],
)
def test_an_invalid_user_is_refused(accounts: Accounts, name: str, role: str, password: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        accounts.add_user(name, role, password)  # type: ignore[arg-type]
    assert password not in str(caught.value)
    assert len(accounts.users()) == 1


def test_an_unknown_name_takes_as_long_as_a_wrong_password(accounts: Accounts, engine: Engine, hasher: Quick) -> None:
    accounts.add_user("gone", "clinician", WORDS)
    accounts.remove_user("gone")
    costs = []
    for name in ("anna", "nobody", "gone"):
        hasher.computed = 0
        with queries(engine) as statements:
            assert accounts.sign_in(name, "a guess or two") is None
        costs.append((hasher.computed, statements))
    assert costs[0][0] == 1
    assert costs[0] == costs[1] == costs[2]


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_many_failures_lock_that_name_for_a_while(accounts: Accounts, engine: Engine, clock: Clock, name: str) -> None:
    accounts.add_user("boris", "clinician", WORDS)
    fail(accounts, name, times=1)
    clock.time += timedelta(minutes=5)
    fail(accounts, name, times=MAX_FAILURES - 1)
    # Another worker, on the same database.
    worker = Accounts(engine, hasher=Quick(), now=clock)
    for _ in range(3):
        with pytest.raises(TooManyAttempts, match="failed 5 times; try again in 10 min"):
            worker.sign_in(name.upper(), WORDS)
    signed_in(worker, "boris")
    clock.time += FAILURE_WINDOW - timedelta(minutes=5, seconds=1)
    with pytest.raises(TooManyAttempts, match="try again in 1 min"):
        accounts.sign_in(name, WORDS)
    clock.time += timedelta(seconds=1)
    assert (accounts.sign_in(name, WORDS) is None) == (name == "nobody")


def test_who_guesses_at_one_address_locks_nobody_out_at_another(accounts: Accounts) -> None:
    for _ in range(MAX_FAILURES):
        assert accounts.sign_in("anna", "a guess or two", "10.0.0.66") is None
    for _ in range(2 * MAX_FAILURES_EVERYWHERE):
        with pytest.raises(TooManyAttempts) as refusal:
            accounts.sign_in("anna", WORDS, "10.0.0.66")
    assert refusal.value.wait == FAILURE_WINDOW.total_seconds()
    assert accounts.sign_in("anna", WORDS, "10.0.0.7")
    with pytest.raises(TooManyAttempts):
        accounts.sign_in("anna", WORDS, "10.0.0.66")


def test_guesses_from_many_addresses_are_limited_together(accounts: Accounts, clock: Clock) -> None:
    for i in range(MAX_FAILURES_EVERYWHERE):
        assert accounts.sign_in("anna", "a guess or two", f"10.0.0.{i // MAX_FAILURES}") is None
    with pytest.raises(TooManyAttempts, match=f"failed {MAX_FAILURES_EVERYWHERE} times"):
        accounts.sign_in("anna", WORDS, "10.0.9.9")
    assert accounts.sign_in("nobody", WORDS, "10.0.0.0") is None
    clock.time += FAILURE_WINDOW
    assert accounts.sign_in("anna", WORDS, "10.0.9.9")


def test_a_sign_in_resets_the_failures(accounts: Accounts) -> None:
    for _ in range(3):
        fail(accounts, times=MAX_FAILURES - 1)
        signed_in(accounts)


def test_simultaneous_attempts_are_limited_too(accounts: Accounts, hasher: Quick) -> None:
    hasher.computed = 0

    def attempt(_: int) -> bool:
        try:
            return accounts.sign_in("anna", "a guess or two") is None
        except TooManyAttempts:
            return False

    with ThreadPoolExecutor(8) as pool:
        checked = sum(pool.map(attempt, range(24)))
    assert checked == hasher.computed <= MAX_FAILURES


def test_a_password_changed_during_the_sign_in_is_refused(accounts: Accounts, engine: Engine, hasher: Quick) -> None:
    admin = Accounts(engine, hasher=Quick())
    hasher.meanwhile = lambda: admin.set_password("anna", "a pear a night")
    assert accounts.sign_in("anna", WORDS) is None
    hasher.meanwhile = lambda: admin.remove_user("anna")
    assert accounts.sign_in("anna", "a pear a night") is None


def test_a_hash_of_another_cost_is_computed_anew_at_sign_in(accounts: Accounts, engine: Engine) -> None:
    dearer = Accounts(engine, hasher=Quick(time_cost=2))
    hashes = []
    for _ in range(3):
        with engine.begin() as connection:
            hashes.append(connection.scalar(select(users.c.password)))
        token = signed_in(dearer)
    assert [",t=2," in text for text in hashes] == [False, True, True]
    assert hashes[1] == hashes[2]
    assert opened(dearer, token).name == "anna"


def test_keys_are_valid_until_they_are_revoked(accounts: Accounts, clock: Clock) -> None:
    ward_3, ward_4 = accounts.keys.add("ward-3"), accounts.keys.add("ward-4")
    assert accounts.keys.accept(ward_3)
    assert accounts.keys.accept(ward_4)
    for wrong in ("", ward_3[:-1], ward_3 + "a", ward_3.swapcase()):
        assert not accounts.keys.accept(wrong)
    accounts.keys.revoke("ward-3")
    assert not accounts.keys.accept(ward_3)
    assert accounts.keys.accept(ward_4)
    keys = accounts.keys.descriptions()
    assert [(key.name, key.last_four) for key in keys] == [("ward-3", ward_3[-4:]), ("ward-4", ward_4[-4:])]
    assert [key.revoked for key in keys] == [clock.time, None]


def test_the_name_of_a_revoked_key_can_be_used_again(accounts: Accounts) -> None:
    ward_3 = accounts.keys.add("ward-3")
    with pytest.raises(InputError, match="the key 'ward-3' exists already; choose another name, or revoke it"):
        accounts.keys.add("ward-3")
    accounts.keys.revoke("ward-3")
    with pytest.raises(InputError, match="no valid key 'ward-3'; 'taxokine keys list'"):
        accounts.keys.revoke("ward-3")
    ward_4 = accounts.keys.add("ward-3")
    assert accounts.keys.accept(ward_4)
    assert not accounts.keys.accept(ward_3)
    with pytest.raises(InputError, match="is not valid"):
        accounts.keys.add("ward 3")


def test_a_key_revoked_elsewhere_expires_within_seconds(accounts: Accounts, engine: Engine, clock: Clock) -> None:
    server = Accounts(engine, now=clock)
    key = accounts.keys.add("ward-3")
    with queries(engine) as statements:
        assert all(server.keys.accept(key) for _ in range(100))
        assert not any(server.keys.accept("wrong") for _ in range(100))
    assert sum(statement.startswith("SELECT") for statement in statements) == 1
    accounts.keys.revoke("ward-3")
    later = accounts.keys.add("ward-4")
    clock.time += KEY_CACHE - timedelta(microseconds=1)
    assert server.keys.accept(key)
    assert not server.keys.accept(later)
    clock.time += timedelta(microseconds=1)
    assert not server.keys.accept(key)
    assert server.keys.accept(later)
    accounts.keys.revoke("ward-4")
    # A clock that is set back by an hour must not keep the key valid for an hour.
    clock.time -= timedelta(hours=1)
    assert not server.keys.accept(later)


def test_the_key_of_the_environment_replaces_those_of_the_database(accounts: Accounts, engine: Engine) -> None:
    key = accounts.keys.add("ward-3")
    only = Accounts(engine, "from-the-environment")
    assert only.keys.accept("from-the-environment")
    assert not only.keys.accept(key)
    assert not accounts.keys.accept("from-the-environment")


def test_without_keys_no_key_is_valid(accounts: Accounts) -> None:
    assert accounts.keys.descriptions() == []
    assert not accounts.keys.accept("")


def test_the_keys_of_an_older_version_are_imported_once(accounts: Accounts, tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    digests = [hashlib.sha256(key.encode()).hexdigest() for key in ("one", "two", "one")]
    for _ in range(2):
        file.write_text(json.dumps({"sha256": digests}))
        accounts.keys.adopt(file)
        assert not file.exists()
        assert accounts.keys.accept("one")
        assert accounts.keys.accept("two")
        assert [key.name for key in accounts.keys.descriptions()] == [f"earlier-{digest[:8]}" for digest in digests[:2]]
    assert accounts.keys.descriptions()[0].last_four is None
    accounts.keys.revoke(f"earlier-{digests[0][:8]}")
    assert not accounts.keys.accept("one")
    accounts.keys.adopt(file)
    assert len(accounts.keys.descriptions()) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": ["abc"]}', '{"sha256": [7]}', '{"sha256": ["abcd"]}', "{}"])
def test_the_error_of_a_damaged_key_file_does_not_quote_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "api_keys.json"
    file.write_text(content)
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    with pytest.raises(InputError, match="is damaged; delete it, and make a key"):
        accounts.keys.adopt(file)
    assert file.read_text() == content
    assert accounts.keys.descriptions() == []


def test_the_settings_name_the_database_without_printing_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "api_keys.json").write_text(json.dumps({"sha256": [hashlib.sha256(b"one").hexdigest()]}))
    monkeypatch.setenv("TAXOKINE_HOME", str(home))
    monkeypatch.setenv("TAXOKINE_DATABASE", uri)
    monkeypatch.delenv("TAXOKINE_API_KEY", raising=False)
    settings.cache_clear()
    try:
        open_accounts()
        assert Accounts(open_database(uri)).keys.accept("one")
        assert list(home.glob("*.json")) == []
        assert uri not in repr(settings())
    finally:
        settings.cache_clear()
