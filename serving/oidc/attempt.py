"""One attempt to sign in at the provider, as the browser keeps it between leaving and coming back."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import asdict, dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey

from serving.errors import IdentityRefused

LONGEST_ATTEMPT = 600
"""Seconds that an attempt lasts."""

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_ALGORITHMS = list(_HEADER.values())


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes
    ----------
    state : str
        Returns from the provider: the answer is to this attempt.
    nonce : str
        Returns within the ID token: the token is of this attempt.
    verifier : str
        Proves to the provider that who redeems the code is who asked for it.
    target : str
        Path to open afterwards.
    """

    state: str
    nonce: str
    verifier: str
    target: str

    def seal(self, secret: str) -> str:
        """Return the attempt, encrypted under a key from the client's secret, which all workers know."""
        content = asdict(self) | {"exp": int(time.time()) + LONGEST_ATTEMPT}
        return jwt.encode(_HEADER, content, _key(secret), registry=JWERegistry(algorithms=_ALGORITHMS))

    @classmethod
    def unseal(cls, sealed: str, secret: str) -> Attempt:
        """Return a sealed attempt.

        Raises
        ------
        IdentityRefused
            It was not sealed here, or has expired.
        """
        try:
            content = jwt.decode(sealed, _key(secret), registry=JWERegistry(algorithms=_ALGORITHMS)).claims
            jwt.JWTClaimsRegistry(exp={"essential": True}).validate(content)
            return cls(content["state"], content["nonce"], content["verifier"], content["target"])
        except (JoseError, ValueError, KeyError):
            raise IdentityRefused("the sign-in took too long, or began in another browser; begin it again") from None


def _key(secret: str) -> OctKey:
    return OctKey.import_key(hmac.digest(secret.encode(), b"taxokine sign-in attempt", hashlib.sha256))
