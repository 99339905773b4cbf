"""Sign-in at an OpenID provider over real HTTP: the flow, roles, sign-out, and a provider that errs or lies."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI, Form, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, RedirectResponse, Response

from features.errors import InputError
from models.predict import ServedModel
from serving.accounts import Accounts, User
from serving.app import create_app
from serving.database import open_database
from serving.oidc.provider import Provider

from ..conftest import running

Json = dict[str, Any]
CLIENT, SECRET = "taxokine", "a-secret-of-the-client"
KEY, STRANGER = (RSAKey.generate_key(2048, {"kid": "k"}, auto_kid=False) for _ in range(2))


@dataclass
class Hospital:
    """An OpenID provider whose user always agrees, and what it is to do wrong."""

    issuer: str = ""
    user: Json = field(default_factory=dict)
    claims: Json = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: KEY)
    token: str | None = None
    codes: dict[str, Json] = field(default_factory=dict)

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/.well-known/openid-configuration")(self.configuration)
        app.get("/authorize")(self.authorize)
        app.post("/token")(self.redeem)
        app.get("/keys")(lambda: {"keys": [KEY.as_dict(private=False)]})
        return app

    def configuration(self) -> Json:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
        }

    def authorize(self, request: Request) -> Response:
        query = request.query_params
        code = secrets.token_urlsafe()
        self.codes[code] = dict(query)
        return RedirectResponse(f"{query['redirect_uri']}?code={code}&state={query['state']}", 302)

    def redeem(
        self, request: Request, code: str = Form(), code_verifier: str = Form(), redirect_uri: str = Form()
    ) -> Response:
        kind, _, password = request.headers["authorization"].partition(" ")
        request_sent = self.codes.pop(code, None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")
        if (
            request_sent is None
            or kind != "Basic"
            or (
                base64.b64decode(password).decode() != f"{CLIENT}:{SECRET.replace(' ', '+')}"
                and base64.b64decode(password).decode() != f"{CLIENT}:{SECRET}"
            )
            or (request_sent["code_challenge"], request_sent["code_challenge_method"]) != (challenge, "S256")
            or request_sent["redirect_uri"] != redirect_uri
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        standard = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": request_sent["nonce"]}
        claims = {name: value for name, value in (standard | self.user | self.claims).items() if value is not None}
        token = self.token or jwt.encode({"alg": "RS256", "kid": "k"}, claims, self.key)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": token})


@pytest.fixture(scope="module")
def running_hospital() -> Iterator[Hospital]:
    hospital = Hospital()
    with running(hospital.app()) as url:
        hospital.issuer = url
        yield hospital


@pytest.fixture
def hospital(running_hospital: Hospital) -> Hospital:
    number = secrets.token_hex(4)
    running_hospital.user = {"sub": number, "preferred_username": f"Dr.{number}@Hospital", "roles": ["clinician"]}
    running_hospital.claims, running_hospital.key, running_hospital.token = {}, KEY, None
    return running_hospital


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    return Accounts(open_database(f"sqlite:///{tmp_path_factory.mktemp('home')}/taxokine.db"))


@pytest.fixture(scope="module")
def server(models: dict[str, list[ServedModel]], running_hospital: Hospital, accounts: Accounts) -> Iterator[str]:
    # The address of the server is known only once it runs, and the provider is needed before.
    provider = Provider(running_hospital.issuer, CLIENT, SECRET, "http://127.0.0.1:1", "roles")
    with running(create_app(models, accounts, provider=provider)) as url:
        provider.server_url = url
        yield url


@pytest.fixture
def browser(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server) as client:
        yield client


def users_of(accounts: Accounts, hospital: Hospital) -> list[User]:
    """Return the users named as the present user of the hospital."""
    return [user for user in accounts.users() if user.name == hospital.user["preferred_username"].casefold()]


def begin(browser: httpx.Client, target: str = "/upload") -> str:
    """Leave for the provider, and return the address to which it sends the browser back."""
    departure = browser.get("/sign-in/provider", params={"to": target})
    assert departure.status_code == 303, departure.text
    return httpx.get(departure.headers["location"]).headers["location"]


def sign_in(browser: httpx.Client, target: str = "/upload") -> httpx.Response:
    return browser.get(begin(browser, target))


def test_a_user_of_the_provider_signs_in_and_opens_the_page(
    browser: httpx.Client, hospital: Hospital, accounts: Accounts
) -> None:
    assert "Sign in with the hospital account" in browser.get("/sign-in").text
    departure = browser.get("/sign-in/provider", params={"to": "/upload"})
    query = {name: values[0] for name, values in parse_qs(urlsplit(departure.headers["location"]).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert query["scope"] == "openid profile email"
    assert len(query["state"]) > 30
    assert len(query["nonce"]) > 30
    assert SECRET not in departure.headers["location"]
    cookie = departure.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert query["nonce"] not in cookie
    response = sign_in(browser)
    assert (response.status_code, response.headers["location"]) == (303, "/upload")
    (user,) = users_of(accounts, hospital)
    assert user.role == "clinician"
    assert user.name in browser.get("/upload").text
    assert browser.get("/models").status_code == 403
    sign_in(browser)
    assert len(users_of(accounts, hospital)) == 1


def test_the_role_follows_the_provider(browser: httpx.Client, hospital: Hospital, accounts: Accounts) -> None:
    sign_in(browser)
    hospital.user["roles"] = "researcher"
    sign_in(browser)
    assert browser.get("/models").status_code == 200
    hospital.user["roles"] = ["something", "clinician"]
    earlier = dict(browser.cookies)
    sign_in(browser)
    assert browser.get("/models").status_code == 403
    assert httpx.get(browser.base_url.join("/"), cookies=earlier).status_code == 303
    assert users_of(accounts, hospital)[0].role == "clinician"


def test_a_user_signs_out_here_and_at_the_provider(browser: httpx.Client, hospital: Hospital) -> None:
    sign_in(browser)
    csrf = browser.get("/upload").text.split('name="csrf" value="')[1].split('"')[0]
    response = browser.post("/sign-out", data={"csrf": csrf}, headers={"Origin": str(browser.base_url).rstrip("/")})
    assert response.headers["location"] == "/sign-in?left=provider"
    assert browser.get("/upload").status_code == 303
    assert "Sign out of the hospital account too" in browser.get(response.headers["location"]).text
    address = browser.get("/sign-in/provider/sign-out").headers["location"]
    assert address.startswith(f"{hospital.issuer}/logout?client_id=taxokine&post_logout_redirect_uri=")
    assert "token" not in address


FAULTS: dict[str, Json] = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "other"},
    "another audience with our id": {"aud": "other", "azp": CLIENT},
    "another party": {"aud": [CLIENT, "other"], "azp": "other"},
    "another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": int(time.time()) - 3600},
    "no expiry": {"exp": None},
    "no subject": {"sub": None},
    "no name": {"preferred_username": None},
    "a name that is none": {"preferred_username": "a b<script>"},
    "no role": {"roles": None},
    "an unknown role": {"roles": ["admin"]},
    "roles of another shape": {"roles": {"clinician": True}},
    "another access token": {"at_hash": "x"},
}


@pytest.mark.parametrize("claims", FAULTS.values(), ids=FAULTS.keys())
def test_claims_that_do_not_hold_are_refused(
    browser: httpx.Client, hospital: Hospital, accounts: Accounts, claims: Json
) -> None:
    hospital.claims, n_users = claims, len(accounts.users())
    response = sign_in(browser)
    assert response.status_code == 403, response.headers
    assert 'role="alert"' in response.text
    assert "<script>" not in response.text.replace("<script src", "")
    assert len(accounts.users()) == n_users
    assert browser.get("/upload").status_code == 303


def test_a_token_of_another_key_or_of_none_is_refused(browser: httpx.Client, hospital: Hospital) -> None:
    hospital.key = STRANGER
    assert sign_in(browser).status_code == 403
    hospital.token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9."
    assert sign_in(browser).status_code == 403


def test_an_attempt_of_another_browser_is_refused(browser: httpx.Client, hospital: Hospital) -> None:
    address = begin(browser)
    assert httpx.get(address).status_code == 403
    other = httpx.Client(base_url=browser.base_url)
    begin(other)
    assert other.get(address).status_code == 403
    first = begin(browser)
    assert browser.get(first).status_code == 303
    assert browser.get(first).status_code == 403


def test_who_declines_at_the_provider_is_told_so(browser: httpx.Client, hospital: Hospital) -> None:
    begin(browser)
    response = browser.get("/sign-in/provider/callback", params={"error": "access_denied", "state": "x"})
    assert response.status_code == 403
    assert "did not sign you in" in response.text


def test_a_local_user_of_the_same_name_is_another_person(
    browser: httpx.Client, hospital: Hospital, accounts: Accounts
) -> None:
    accounts.add_user(hospital.user["preferred_username"], "researcher", "a long enough password")
    response = sign_in(browser)
    assert response.status_code == 403
    assert "Another user of Taxokine is named" in response.text


def test_a_removed_user_stays_removed_and_has_no_password(
    browser: httpx.Client, hospital: Hospital, accounts: Accounts
) -> None:
    sign_in(browser)
    name = hospital.user["preferred_username"]
    for password in ("", "x"):
        assert accounts.sign_in(name, password) is None
    accounts.remove_user(name)
    assert browser.get("/upload").status_code == 303
    response = sign_in(browser)
    assert response.status_code == 403
    assert "was removed" in response.text


def test_the_page_after_signing_in_is_one_of_this_server(browser: httpx.Client, hospital: Hospital) -> None:
    assert sign_in(browser, "https://evil.example").headers["location"] == "/"
    assert sign_in(browser, "//evil.example").headers["location"] == "/"


def test_a_provider_that_is_down_leaves_local_users(
    models: dict[str, list[ServedModel]], accounts: Accounts, hospital: Hospital
) -> None:
    provider = Provider("http://127.0.0.1:1", CLIENT, SECRET, "http://127.0.0.1:2", "roles")
    accounts.add_user("anna", "clinician", "a long enough password")
    with running(create_app(models, accounts, provider=provider)) as url, httpx.Client(base_url=url) as client:
        response = client.get("/sign-in/provider")
        assert response.status_code == 503
        assert "sign in with name and password" in response.text
        form = {"name": "anna", "password": "a long enough password", "to": "/"}
        assert client.post("/sign-in", data=form, headers={"Origin": url}).status_code == 303
        assert client.get("/sign-in/provider/sign-out").headers["location"] == "/sign-in"


def test_a_provider_without_tls_is_refused() -> None:
    with pytest.raises(InputError, match="no https address"):
        Provider("http://id.hospital.example", CLIENT, SECRET, "https://taxokine.example", "roles")


def test_without_a_provider_there_is_no_link(client: httpx.Client) -> None:
    assert "hospital account" not in client.get("/sign-in").text
    assert client.get("/sign-in/provider").status_code == 404
