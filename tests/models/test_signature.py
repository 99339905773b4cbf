"""Bundles are signed by their trainer, and refused where they are not, or not as they were signed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from features.errors import InputError, SignatureError
from models.bundle import load_bundle
from models.hashed_folder import HASHES, SIGNATURE
from models.signature import make_key_pair, require_signature, sign_folder

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    shutil.copytree(GOLDEN / "protocol_5_elastic_net", folder)
    return folder


@pytest.fixture
def private(tmp_path: Path) -> Path:
    file = tmp_path / "trainer.pem"
    assert make_key_pair(file) == tmp_path / "trainer.pem.pub"
    return file


def public(private: Path) -> Path:
    return private.with_name(f"{private.name}.pub")


def test_a_signed_bundle_loads_as_before_and_an_unsigned_one_is_refused(bundle: Path, private: Path) -> None:
    before = load_bundle(bundle)
    with pytest.raises(SignatureError, match="is not signed; train the model with TAXOKINE_SIGNING_KEY"):
        require_signature(bundle, [public(private)])
    require_signature(bundle, [])
    sign_folder(bundle, private)
    require_signature(bundle, [public(private)])
    assert load_bundle(bundle).digest == before.digest


def test_while_keys_change_both_are_trusted(bundle: Path, private: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.pem"
    make_key_pair(later)
    sign_folder(bundle, private)
    require_signature(bundle, [public(later), public(private)])
    with pytest.raises(SignatureError, match=r"signed by none of the keys in .*later\.pem\.pub"):
        require_signature(bundle, [public(later)])
    sign_folder(bundle, later)
    require_signature(bundle, [public(later)])


def append_to_hashes(folder: Path) -> None:
    path = folder / HASHES
    path.write_bytes(path.read_bytes() + b" ")


def other_scope(folder: Path) -> None:
    """Sign the hashes without what precedes them, as another use of the key might."""
    key = load_pem_private_key((folder.parent / "trainer.pem").read_bytes(), None)
    text = base64.b64encode(key.sign((folder / HASHES).read_bytes())).decode()  # type: ignore[union-attr, call-arg]
    (folder / SIGNATURE).write_text(json.dumps({"ed25519": text}))


def replace_by_link(folder: Path) -> None:
    path = folder / SIGNATURE
    path.rename(folder.parent / "elsewhere.json")
    path.symlink_to(folder.parent / "elsewhere.json")


@pytest.mark.parametrize(
    "alter",
    [
        append_to_hashes,
        other_scope,
        replace_by_link,
        lambda folder: (folder / HASHES).unlink(),
        lambda folder: (folder / SIGNATURE).unlink(),
        lambda folder: (folder / SIGNATURE).write_text("{}"),
        lambda folder: (folder / SIGNATURE).write_text("[" * 100_000),
        lambda folder: (folder / SIGNATURE).write_text('{"ed25519": "not base64!"}'),
        lambda folder: (folder / SIGNATURE).write_text('{"ed25519": ""}'),
        lambda folder: (folder / SIGNATURE).write_text('{"ed25519": 7}'),
        lambda folder: (folder / SIGNATURE).write_bytes(b"\xff" * 100),
        lambda folder: (folder / SIGNATURE).write_bytes(b" " * 10_000),
    ],
)
def test_an_altered_bundle_is_refused(bundle: Path, private: Path, alter: Callable[[Path], object]) -> None:
    sign_folder(bundle, private)
    alter(bundle)
    with pytest.raises(SignatureError):
        require_signature(bundle, [public(private)])


def test_openssl_verifies_what_was_signed(bundle: Path, private: Path, tmp_path: Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    sign_folder(bundle, private)
    signature = base64.b64decode(json.loads((bundle / SIGNATURE).read_text())["ed25519"])
    (tmp_path / "signature").write_bytes(signature)
    signed = b"Taxokine bundle, protocol 1 of signatures\n" + (bundle / HASHES).read_bytes()
    (tmp_path / "signed").write_bytes(signed)
    command = [program, "pkeyutl", "-verify", "-pubin", "-inkey", public(private), "-rawin", "-in", tmp_path / "signed"]
    finished = subprocess.run([*command, "-sigfile", tmp_path / "signature"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_the_private_key_is_its_owners_alone_and_never_overwritten(private: Path) -> None:
    assert private.stat().st_mode & 0o777 == 0o600
    content = private.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        make_key_pair(private)
    private.rename(private.with_name("kept.pem"))
    with pytest.raises(InputError, match=r"trainer\.pem\.pub exists already"):
        make_key_pair(private)
    assert private.with_name("kept.pem").read_bytes() == content
    with pytest.raises(InputError, match="cannot be written"):
        make_key_pair(private.parent / "missing" / "key.pem")


@pytest.mark.parametrize("content", [b"", b"\xff", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_without_a_key_is_named(bundle: Path, private: Path, content: bytes) -> None:
    sign_folder(bundle, private)
    other = private.with_name("other.pem")
    other.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.pem holds no public key of Ed25519"):
        require_signature(bundle, [other])
    with pytest.raises(InputError, match=r"other\.pem holds no unencrypted private key"):
        sign_folder(bundle, other)
    # The private key must not lie on the server.
    with pytest.raises(InputError, match=r"trainer\.pem holds no public key"):
        require_signature(bundle, [private])
    with pytest.raises(InputError, match=r"absent\.pem cannot be read"):
        require_signature(bundle, [private.with_name("absent.pem")])
