"""The files that an administrator copies: systemd's units, and nginx with TLS in front of a real server."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.accounts import Accounts
from taxokine.processes import reserved_port

DEPLOY = Path(__file__).parents[2] / "deploy"
TAXOKINE, MLFLOW = "taxokine.example.org", "mlflow.example.org"
PASSWORD = "a long enough password"
CLINICIAN = "nora"


def program(name: str, package: str) -> str:
    """Return the path of a program of the system; without it the test is skipped, or fails under CI."""
    path = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if path is None:
        message = f"{name} is not installed; apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


class Echo(BaseHTTPRequestHandler):
    """Stands where the MLflow server listens, and returns the headers that reach it."""

    def do_GET(self) -> None:
        body = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Proxy(NamedTuple):
    port: int
    trust: ssl.SSLContext

    def client(self, host: str) -> httpx.Client:
        """Return a client that reaches nginx under a name of the certificate."""
        transport = httpx.HTTPTransport(verify=self.trust)
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            transport=transport,
            headers={"Host": host},
        )


def write_certificate(folder: Path) -> ssl.SSLContext:
    """Write a self-signed certificate with its key, and return a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, TAXOKINE)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(TAXOKINE), x509.DNSName(MLFLOW)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "taxokine.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "taxokine.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(cafile=folder / "taxokine.crt")
    context.check_hostname = False
    return context


@pytest.fixture(scope="module")
def proxy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Run nginx with the project's configuration, its paths and ports put into a folder of the test."""
    nginx, folder = program("nginx", "nginx-light"), tmp_path_factory.mktemp("nginx")
    trust = write_certificate(folder)
    # The password is "secret"; {PLAIN} stands for one that is not hashed.
    (folder / "mlflow.htpasswd").write_text("trainer:{PLAIN}secret\n")
    mlflow = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=mlflow.serve_forever, daemon=True).start()
    with reserved_port(0) as (port, release):
        text = (DEPLOY / "nginx.conf").read_text()
        for path, replacement in {
            "/etc/taxokine": str(folder),
            "listen 443": f"listen 127.0.0.1:{port}",
            "http://127.0.0.1:8000": address,
            "http://127.0.0.1:5000": f"http://127.0.0.1:{mlflow.server_port}",
        }.items():
            assert path in text
            text = text.replace(path, replacement)
        (folder / "site.conf").write_text(text)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        root = "user root;\n" if os.geteuid() == 0 else ""
        main = folder / "main.conf"
        main.write_text(
            f"{root}daemon off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}"
            f"include {folder}/site.conf;\n}}\n"
        )
        release()
        process = subprocess.Popen([nginx, "-e", str(folder / "error.log"), "-c", str(main)])
    try:
        proxy = Proxy(port, trust)
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "error.log").read_text()
            try:
                with proxy.client(TAXOKINE) as client:
                    client.get("/healthz")
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield proxy
    finally:
        process.terminate()
        process.wait()
        mlflow.shutdown()


def test_people_sign_in_over_tls_alone(proxy: Proxy, key_and_accounts: tuple[str, Accounts]) -> None:
    key_and_accounts[1].add_user(CLINICIAN, "clinician", PASSWORD)
    with proxy.client(TAXOKINE) as client:
        form = {"name": CLINICIAN, "password": PASSWORD, "to": "/"}
        answer = client.post("/sign-in", data=form, headers={"Origin": f"https://{TAXOKINE}"})
        assert answer.status_code == 303, answer.text
        assert "; Secure" in answer.headers["Set-Cookie"]
        assert "HttpOnly" in answer.headers["Set-Cookie"]
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_programs_predict_through_the_proxy(
    proxy: Proxy, key_and_accounts: tuple[str, Accounts], candidate: dict[str, object], client: httpx.Client
) -> None:
    with proxy.client(TAXOKINE) as over_tls:
        key = {"Authorization": f"Bearer {key_and_accounts[0]}"}
        proxied = over_tls.post("/v1/predictions", json=candidate, headers=key)
    assert proxied.status_code == 200
    assert proxied.json() == client.post("/v1/predictions", json=candidate).json()


def test_a_body_beyond_the_limit_ends_at_the_proxy(proxy: Proxy) -> None:
    with proxy.client(TAXOKINE) as client:
        assert client.post("/uploads", content=bytes(25 * 2**20)).status_code == 413


def test_mlflow_asks_for_a_password_and_never_sees_it(proxy: Proxy) -> None:
    with proxy.client(MLFLOW) as client:
        assert client.get("/").status_code == 401
        assert client.get("/", auth=("trainer", "wrong")).status_code == 401
        answer = client.get("/", auth=("trainer", "secret"))
    assert answer.status_code == 200
    assert f"Host: {MLFLOW}" in answer.text
    assert "Authorization" not in answer.text


@pytest.mark.parametrize("unit", ["taxokine.service", "taxokine-mlflow.service"])
def test_units_are_valid_and_confined(unit: str, tmp_path: Path) -> None:
    analyse = program("systemd-analyze", "systemd")
    copy = tmp_path / unit
    # The program that a unit starts must exist.
    copy.write_text(
        re.sub(r"^ExecStart=\S+", "ExecStart=/usr/bin/env", (DEPLOY / unit).read_text(), flags=re.MULTILINE)
    )
    checked = subprocess.run([analyse, "verify", copy], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert unit not in checked.stderr
    exposure = subprocess.run(
        [analyse, "security", "--offline=yes", "--threshold=30", copy], capture_output=True, text=True
    )
    assert exposure.returncode == 0, exposure.stdout
