"""What the documents show to programs runs: the examples of OpenAPI, and the snippets of shell, Python and R."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.engraftment import EngraftmentBundle
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.cds_hooks.clients import read_clients
from serving.cds_hooks.service import SERVICE, CdsHooks
from serving.cds_hooks.tokens import TokenVerifier
from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.recorder import Recorder
from serving.record.store import RecordStore

from .conftest import running
from .ehr import BASE, bearer, write_clients

Json = dict[str, Any]
PAGE = (Path(__file__).parents[2] / "docs" / "api" / "calling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(
    models: Mapping[str, list[ServedModel]], engraftment: EngraftmentBundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Yield the address of a server that can answer every operation, and a key."""
    folder = tmp_path_factory.mktemp("examples")
    engine = open_database(f"sqlite:///{folder}/taxokine.db")
    accounts, clients = Accounts(engine), read_clients(write_clients(folder))
    app = create_app(
        models,
        accounts,
        engraftment=engraftment,
        recorder=Recorder(RecordStore(engine, RecordKey(b"k" * 32))),
        cds_hooks=CdsHooks(clients, TokenVerifier(clients, BASE, engine), BASE, engine),
    )
    with running(app) as address:
        yield address, accounts.keys.add("examples")


def examples_of(operation: Json, document: Json) -> Iterator[tuple[str, Any]]:
    """Yield media type and example of each textual body of an operation; one without an example is an error."""
    for media_type, content in operation["requestBody"]["content"].items():
        schema = content["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        if schema.get("format") == "binary" and media_type != "text/csv":
            continue
        yield media_type, content.get("example") or schema.get("example") or schema["examples"][0]


def test_the_example_of_every_operation_is_answered(server: tuple[str, str]) -> None:
    address, key = server
    answered = []
    with httpx.Client(base_url=address) as http:
        document = http.get("/openapi.json").json()
        for template, item in document["paths"].items():
            for method, operation in item.items():
                if "requestBody" not in operation:
                    continue
                path = template.replace("{service}", SERVICE)
                headers = bearer(path) if path.startswith("/cds-services") else {"Authorization": f"Bearer {key}"}
                for media_type, example in examples_of(operation, document):
                    if "assessed" in example:
                        # An outcome is assessed after its prediction, and not in the future.
                        example = example | {"assessed": datetime.now(UTC).date().isoformat()}
                    body = {"content": example} if media_type == "text/csv" else {"json": example}
                    response = http.request(method, path, headers=headers | {"Content-Type": media_type}, **body)
                    assert response.is_success, (template, response.text)
                    answered.append(template)
    assert len(answered) == 8


def run(command: list[str], folder: Path, server: tuple[str, str]) -> str:
    address, key = server
    environment = {**os.environ, "TAXOKINE_URL": address, "TAXOKINE_KEY": key}
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


@pytest.fixture(scope="module")
def folder(server: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the snippets of the shell in a folder, in their order, and return it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; apt-get install curl")
    folder = tmp_path_factory.mktemp("snippets")
    for snippet in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        run(["sh", "-e", "-c", snippet], folder, server)
    return folder


def test_the_shell_predicts_a_file(folder: Path) -> None:
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["patient"] for row in rows} == {"candidate-1", "candidate-2"}
    assert not any(row["error"] for row in rows)


def test_python_prints_what_is_predicted(folder: Path, server: tuple[str, str]) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    lines = run([sys.executable, "-c", snippet], folder, server).splitlines()
    assert {line.split()[0] for line in lines} == {"objective_response", "disease_control", "toxicity_any"}
    # No taxon of the candidate is one of these models.
    assert all(line.split()[1] == "None" for line in lines if line.startswith("objective_response"))


def test_r_prints_what_is_predicted(folder: Path, server: tuple[str, str]) -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed; apt-get install r-cran-httr2")
    (snippet,) = re.findall(r"```r\n(.*?)```", PAGE, re.DOTALL)
    (folder / "predict.R").write_text(snippet)
    assert "toxicity_any" in run(["Rscript", "predict.R"], folder, server)
