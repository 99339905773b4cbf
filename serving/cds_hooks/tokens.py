"""The tokens by which clients of CDS Hooks prove who they are.

https://cds-hooks.hl7.org/2.0/#trusting-cds-clients: a JSON Web Token (RFC 7519), signed by RS384 or ES384, whose
audience is the address that is called. Keys come from the configured files: no address that a token names (`jku`) is
fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from joserfc import jws, jwt
from joserfc.errors import JoseError
from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine, delete, exc, insert

from serving.cds_hooks.clients import CdsClient
from serving.database import cds_tokens
from serving.errors import NotAuthorised

ALGORITHMS = ("ES384", "RS384")
"""Signatures that CDS Hooks names."""
LONGEST = timedelta(minutes=5)
"""How long a token may be valid."""
LEEWAY = timedelta(seconds=30)
"""By how much the clocks of client and server may differ."""
MAX_TOKEN = 8 * 2**10
"""Characters of the longest token that is read."""

_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_REGISTRY.max_header_length = 4 * 2**10


class _Claims(BaseModel):
    iss: str
    aud: str | list[str]
    exp: float
    iat: float
    jti: str


class TokenVerifier:
    """Verifies tokens, each once.

    Parameters
    ----------
    clients : sequence of CdsClient
    base_url : str
        Address of this server, as clients know it.
    engine : Engine
        Holds the ids of the tokens that came, for all processes.
    now : callable, optional
        Returns the current time, in UTC.
    """

    def __init__(
        self,
        clients: Sequence[CdsClient],
        base_url: str,
        engine: Engine,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clients = {client.issuer: client for client in clients}
        self._base_url, self._engine, self._now = base_url, engine, now

    def verify(self, authorization: str, path: str) -> CdsClient:
        """Return the client that sent a request.

        Parameters
        ----------
        authorization : str
            The header of this name.
        path : str
            The path that was called.

        Raises
        ------
        NotAuthorised
            There is no token, it is not of a configured client, is for another address, has expired, or came before.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
            raise NotAuthorised("a JSON Web Token is required; send the header 'Authorization: Bearer <token>'")
        client, claims = self._verified_claims(token.strip())
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if self._base_url + path not in audiences:
            raise NotAuthorised(f"the token is for another address; expected the audience {self._base_url + path}")
        self._check_times(claims)
        self._use_once(claims)
        return client

    def _verified_claims(self, token: str) -> tuple[CdsClient, _Claims]:
        try:
            # The issuer is not yet verified: it chooses the keys that verify it.
            issuer = _Claims.model_validate_json(jws.extract_compact(token.encode()).payload).iss
            client = self._clients.get(issuer)
            if client is None:
                raise NotAuthorised("the issuer of the token is no client of this server; add it to its clients")
            decoded = jwt.decode(token, client.keys, registry=_REGISTRY)
            return client, _Claims.model_validate(decoded.claims)
        except (JoseError, ValidationError, ValueError) as error:
            raise NotAuthorised(
                f"the token is not valid ({type(error).__name__}); expected {' or '.join(ALGORITHMS)} by a key of the "
                "client, with the claims iss, aud, exp, iat and jti"
            ) from None

    def _check_times(self, claims: _Claims) -> None:
        now, leeway = self._now().timestamp(), LEEWAY.total_seconds()
        if not claims.exp > now - leeway:
            raise NotAuthorised("the token has expired; send a new one")
        if not claims.iat < now + leeway or claims.exp > claims.iat + LONGEST.total_seconds():
            raise NotAuthorised(f"the token is issued later than now, or valid for more than {LONGEST}; send a new one")

    def _use_once(self, claims: _Claims) -> None:
        now = self._now()
        digest = hashlib.sha256(f"{claims.iss}\n{claims.jti}".encode()).digest()
        # Kept until no clock within the leeway would still accept the token.
        expires = datetime.fromtimestamp(claims.exp, UTC) + 2 * LEEWAY
        try:
            with self._engine.begin() as connection:
                connection.execute(delete(cds_tokens).where(cds_tokens.c.expires < now))
                connection.execute(insert(cds_tokens).values(digest=digest, expires=expires))
        except exc.IntegrityError:
            raise NotAuthorised("this token was sent before; sign a new one, with a jti of its own") from None
