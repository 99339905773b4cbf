"""The hospital's identity provider: where a browser is sent, and who came back.

The authorization code flow of OpenID Connect Core 1.0 with PKCE (RFC 7636, S256), state and nonce.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlencode, urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from pydantic import BaseModel, JsonValue, ValidationError

from features.errors import InputError
from features.settings import settings
from serving.accounts import ROLES, Role
from serving.errors import IdentityRefused, ProviderUnreachable
from serving.oidc.attempt import Attempt

CALLBACK = "/sign-in/provider/callback"
"""Path to which the provider sends the browser back."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
"""Signatures of ID tokens that are accepted: by the provider's public keys only."""
TIMEOUT = 5.0
"""Seconds that the provider has for an answer."""
CACHE_SECONDS = 3600.0
"""How long the provider's addresses are kept."""
LEEWAY = 30
"""Seconds by which the clocks of provider and server may differ."""


@dataclass(frozen=True)
class Identity:
    """A person whom the provider vouches for.

    Attributes
    ----------
    subject : str
        The provider's id of the person, which never changes.
    name : str
        Name under which the person signs in.
    role : Role
    """

    subject: str
    name: str
    role: Role


class _ProviderMetadata(BaseModel):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None


class Provider:
    """An OpenID provider. Threads may share an object.

    Parameters
    ----------
    issuer : str
        Its issuer identifier: an https address, or one of this machine.
    client_id, client_secret : str
        Of this server at the provider.
    server_url : str
        Address of this server, as browsers know it.
    role_claim : str
        Claim of the ID token that names the role, with points between the levels: realm_access.roles.

    Raises
    ------
    InputError
        The issuer is no https address.
    """

    def __init__(self, issuer: str, client_id: str, client_secret: str, server_url: str, role_claim: str) -> None:
        _require_https(issuer)
        self.issuer, self.server_url = issuer, server_url
        self._client_id, self._secret, self._role_claim = client_id, client_secret, role_claim
        self._lock = threading.Lock()
        self._cached: tuple[float, _ProviderMetadata] | None = None

    def begin(self, target: str) -> tuple[str, str]:
        """Return the address of the provider to send a browser to, and the sealed attempt that its cookie keeps.

        Parameters
        ----------
        target : str
            Path of this server to open afterwards.

        Raises
        ------
        ProviderUnreachable
        """
        attempt = Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), target)
        with self._session() as session:
            url, _ = session.create_authorization_url(
                self._metadata().authorization_endpoint,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(url), attempt.seal(self._secret)

    def finish(self, sealed: str, state: str, code: str) -> tuple[Identity, str]:
        """Return who signed in, and the path to open.

        Parameters
        ----------
        sealed : str
            The attempt, from the cookie of the browser.
        state, code : str
            What the provider sent back.

        Raises
        ------
        IdentityRefused
            The attempt is not this browser's, the ID token is not valid, or it names no role of Taxokine.
        ProviderUnreachable
        """
        attempt = Attempt.unseal(sealed, self._secret)
        if not secrets.compare_digest(attempt.state.encode(), state.encode()):
            raise IdentityRefused("the sign-in began in another browser or window; begin it again")
        claims = self._claims(attempt, code)
        subject, name = claims.get("sub"), claims.get("preferred_username") or claims.get("email")
        if not isinstance(subject, str) or not isinstance(name, str):
            raise IdentityRefused("the identity provider sends no name; let it send the claim preferred_username")
        return Identity(subject, name, self._role(claims)), attempt.target

    def sign_out_url(self) -> str | None:
        """Return the address where a user signs out at the provider; None where it has none, or is not reached.

        By OpenID Connect RP-Initiated Logout 1.0, without the ID token, which would stand in the address.
        """
        try:
            endpoint = self._metadata().end_session_endpoint
        except ProviderUnreachable:
            return None
        query = {"client_id": self._client_id, "post_logout_redirect_uri": f"{self.server_url}/sign-in"}
        return endpoint and f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def _claims(self, attempt: Attempt, code: str) -> dict[str, JsonValue]:
        try:
            metadata = self._metadata()
            with self._session() as session:
                token = session.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
            keys = KeySet.import_key_set(cast(KeySetSerialization, _get(metadata.jwks_uri)))
            decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
            options = {
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self._client_id},
            }
            parameters = {
                "nonce": attempt.nonce,
                "client_id": self._client_id,
                "access_token": token.get("access_token"),
            }
            claims = CodeIDToken(decoded.claims, decoded.header, options, parameters)
            claims.validate(leeway=LEEWAY)
        except requests.RequestException as error:
            raise ProviderUnreachable(_UNREACHABLE) from error
        except (AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
            # The message may quote the token.
            raise IdentityRefused(f"the identity provider's answer is not valid ({type(error).__name__})") from None
        return dict(claims)

    def _role(self, claims: dict[str, JsonValue]) -> Role:
        value: JsonValue = claims
        for key in self._role_claim.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        roles = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        # A researcher opens whatever a clinician does, and more.
        role = next((role for role in reversed(ROLES) if role in roles), None)
        if role is None:
            raise IdentityRefused(
                f"the identity provider gives you no role in Taxokine; its claim {self._role_claim} must have one of "
                f"{', '.join(ROLES)}"
            )
        return role

    def _metadata(self) -> _ProviderMetadata:
        with self._lock:
            cached = self._cached
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        try:
            metadata = _ProviderMetadata.model_validate(
                _get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            )
            for endpoint in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
                _require_https(endpoint)
        except (requests.RequestException, ValidationError, ValueError, InputError) as error:
            raise ProviderUnreachable(_UNREACHABLE) from error
        if metadata.issuer != self.issuer:
            raise ProviderUnreachable("the identity provider names another issuer than TAXOKINE_OIDC_ISSUER")
        with self._lock:
            self._cached = time.monotonic(), metadata
        return metadata

    def _session(self) -> OAuth2Session:
        return OAuth2Session(
            self._client_id,
            self._secret,
            scope="openid profile email",
            redirect_uri=self.server_url + CALLBACK,
            code_challenge_method="S256",
        )


def open_provider() -> Provider | None:
    """Return the provider that the settings name; None where they name none.

    Raises
    ------
    InputError
        The settings are not complete, or the file of the secret cannot be read.
    """
    configuration = settings()
    if configuration.oidc_issuer is None:
        return None
    if not (configuration.oidc_client and configuration.oidc_secret_file and configuration.server_url):
        raise InputError(
            "TAXOKINE_OIDC_ISSUER needs TAXOKINE_OIDC_CLIENT, TAXOKINE_OIDC_SECRET_FILE and TAXOKINE_SERVER_URL too"
        )
    try:
        secret = configuration.oidc_secret_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{configuration.oidc_secret_file} (TAXOKINE_OIDC_SECRET_FILE) cannot be read") from error
    if not secret:
        raise InputError(f"{configuration.oidc_secret_file} (TAXOKINE_OIDC_SECRET_FILE) is empty")
    return Provider(
        configuration.oidc_issuer,
        configuration.oidc_client,
        secret,
        configuration.server_url,
        configuration.oidc_role_claim,
    )


_UNREACHABLE = "the identity provider cannot be reached, or is none; try again, or sign in with name and password"


def _get(url: str) -> JsonValue:
    response = requests.get(url, timeout=TIMEOUT, allow_redirects=False)
    response.raise_for_status()
    content: JsonValue = response.json()
    return content


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
        raise InputError(f"{url!r} is no https address; an identity provider is called over TLS only")
