"""API keys at rest."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from features.errors import InputError
from serving.keys import FILE, Keys


def test_a_key_is_kept_as_a_hash_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key, keys = Keys.make(home)
    path = home / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert key not in path.read_text()
    assert json.loads(path.read_text()) == {"sha256": [hashlib.sha256(key.encode()).hexdigest()]}
    assert [entry.name for entry in home.iterdir()] == [FILE]
    assert len(key) >= 43
    assert keys.accept(key)
    assert not keys.accept(key[:-1])
    assert key not in repr(keys)


def test_keys_are_read_again_and_added_to(tmp_path: Path) -> None:
    first, _ = Keys.make(tmp_path)
    second, _ = Keys.make(tmp_path)
    kept = Keys.read(tmp_path)
    assert kept.accept(first)
    assert kept.accept(second)
    assert not kept.accept("")


def test_the_environments_key_stands_instead_of_those_kept(tmp_path: Path) -> None:
    kept, _ = Keys.make(tmp_path)
    only = Keys.read(tmp_path, "from-the-environment")
    assert only.accept("from-the-environment")
    assert not only.accept(kept)


def test_without_a_file_there_is_no_key(tmp_path: Path) -> None:
    assert Keys.read(tmp_path).digests == ()
    assert not Keys.read(tmp_path).accept("")


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": ["abc"]}', '{"sha256": [7]}', '{"sha256": ["abcd"]}', "{}"])
def test_a_damaged_file_is_an_error_that_does_not_quote_it(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match="delete it"):
        Keys.read(tmp_path)
