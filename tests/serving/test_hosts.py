"""The server answers under its own names only."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from features.errors import InputError
from features.settings import settings
from serving.hosts import host_name
from serving.main import _hosts, _is_any_address


def status(address: str, *lines: str, path: str = "/healthz") -> int:
    """Return the status of a request with these lines as its header."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Connection: close", *lines, "", ""]).encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split()[1])


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "Taxokine.example.org", "taxokine.example.org.:443"],
)
def test_it_answers_under_its_own_names(address: str, host: str) -> None:
    assert status(address, f"Host: {host}") == 200


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: attacker.example"],
        ["Host: 127.0.0.1.attacker.example"],
        ["Host: attacker.example@localhost"],
        ["Host: localhost:80:80"],
        ["Host: localhost/attacker"],
        ["Host: 127.1"],
        ["Host: 0.0.0.0"],
        ["Host: sub.taxokine.example.org"],
        ["Host: xtaxokine.example.org"],
        ["Host: loc\xc3\xa4lhost"],
        ["Host:"],
        [],
        ["Host: localhost", "Host: attacker.example"],
        ["Host: localhost", "Host: localhost"],
        # No proxy may name another host.
        ["Host: attacker.example", "X-Forwarded-Host: localhost"],
    ],
)
def test_no_other_name_reaches_anything(address: str, lines: list[str]) -> None:
    for path in ("/healthz", "/v1/models", "/sign-in", "/static/style.css", "/openapi.json"):
        assert status(address, *lines, path=path) == 400


def test_the_refusal_says_what_to_do(client: httpx.Client) -> None:
    host = {"Host": "<b>attacker</b>.example"}
    answer = client.get("/v1/models", headers=host)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "host_not_allowed"
    assert "TAXOKINE_HOSTS" in answer.json()["error"]["message"]
    page = client.get("/", headers={**host, "Accept": "text/html"})
    assert page.status_code == 400
    assert "TAXOKINE_HOSTS" in page.text
    assert "<b>attacker" not in page.text
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


def test_the_settings_name_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    try:
        monkeypatch.setenv("TAXOKINE_HOSTS", "box, Box.example.org:8000,[fe80::1]")
        monkeypatch.setenv("TAXOKINE_SERVER_URL", "https://taxokine.example.org:8443/")
        names = {"localhost", "127.0.0.1", "[::1]", "box", "box.example.org", "[fe80::1]", "taxokine.example.org"}
        assert set(_hosts(settings())) == names
        monkeypatch.setenv("TAXOKINE_HOSTS", "https://box")
        settings.cache_clear()
        with pytest.raises(InputError, match=r"TAXOKINE_HOSTS: 'https://box' is no host name"):
            _hosts(settings())
    finally:
        settings.cache_clear()


def test_an_address_of_all_networks_is_no_name() -> None:
    assert all(map(_is_any_address, ("0.0.0.0", "::", "")))
    assert not any(map(_is_any_address, ("127.0.0.1", "::1", "10.0.0.7", "box")))
    assert host_name("nothing at all") == ""
