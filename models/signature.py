"""Signatures of bundles: Ed25519 (RFC 8032) over the list of hashes of a bundle's files, and so over all of them.

Keys are PEM files, as OpenSSL writes and reads them. A signature says who made a bundle, not that it is the latest: an
earlier bundle of the same signer still has its signature.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError, SignatureError
from models.hashed_folder import HASHES, SIGNATURE, json_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SCOPE = b"Taxokine bundle, protocol 1 of signatures\n"
"""Precedes what is signed, so that no signature that the key made for another purpose counts here."""
_LARGEST_SIGNATURE = 4096


def make_key_pair(private_file: Path) -> Path:
    """Write a new private key, which its owner alone can read, and its public key beside it; return the latter's file.

    Raises
    ------
    InputError
        One of the files exists, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key, public_file = Ed25519PrivateKey.generate(), private_file.with_name(f"{private_file.name}.pub")
    private_content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_content = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for path in (public_file, private_file):
        if path.exists():
            raise InputError(f"{path} exists already; name another file, since bundles may depend on that key")
    for path, content, mode in ((private_file, private_content, 0o600), (public_file, public_content, 0o644)):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return public_file


def sign_folder(folder: Path, private_file: Path) -> None:
    """Sign a bundle that was just written, by the key of a file.

    Raises
    ------
    InputError
        The file holds no private key of Ed25519.
    """
    signature = _private_key(private_file).sign(_SCOPE + (folder / HASHES).read_bytes())
    (folder / SIGNATURE).write_bytes(json_bytes({"ed25519": base64.b64encode(signature).decode()}))


def require_signature(folder: Path, public_files: Sequence[Path]) -> None:
    """Check that a bundle is signed by one of some keys; without any key, nothing is checked.

    What is signed are the hashes; `models.hashed_folder.read_hashed` checks that the files have them.

    Raises
    ------
    SignatureError
        It is not signed, or by none of the keys.
    InputError
        A file holds no public key of Ed25519.
    """
    from cryptography.exceptions import InvalidSignature

    if not public_files:
        return
    keys = [public_key(path) for path in public_files]
    signature, hashes = _signature(folder), folder / HASHES
    if not hashes.is_file() or hashes.is_symlink():
        raise SignatureError(f"{folder} has no {HASHES}, which a signature signs; it was not read")
    for key in keys:
        try:
            key.verify(signature, _SCOPE + hashes.read_bytes())
        except InvalidSignature:
            continue
        return
    names = ", ".join(str(path) for path in public_files)
    raise SignatureError(f"{folder} is signed by none of the keys in {names}; it was not read")


def public_key(file: Path) -> Ed25519PublicKey:
    """Return the public key of a file.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_content(file))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{file} holds no public key of Ed25519; 'taxokine keys signing FILE' makes FILE.pub")
    return key


def _private_key(file: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_content(file), None)
    # TypeError: it is encrypted.
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{file} holds no unencrypted private key of Ed25519; 'taxokine keys signing FILE' makes one")
    return key


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _signature(folder: Path) -> bytes:
    path = folder / SIGNATURE
    if not path.exists():
        raise SignatureError(
            f"{folder} is not signed; train the model with TAXOKINE_SIGNING_KEY, or serve without --require-signed"
        )
    try:
        if path.is_symlink() or path.stat().st_size > _LARGEST_SIGNATURE:
            raise ValueError("no plain file of a signature's size")
        return base64.b64decode(json.loads(path.read_bytes())["ed25519"], validate=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureError(f"{path} is damaged; the bundle was not read") from error
