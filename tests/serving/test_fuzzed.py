"""Requests made up from the OpenAPI document: no failure of the server, and nothing that the document does not say.

`TAXOKINE_FUZZ_EXAMPLES=1000` sends that many to each operation as each role.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from models.predict import ServedModel
from serving.cds_hooks.service import SERVICE

from .ehr import bearer
from .whole_site import Site, whole_site

EXAMPLES = int(os.environ.get("TAXOKINE_FUZZ_EXAMPLES", "5"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PATHS = {"name": "objective_response", "version": "0", "service": SERVICE}
"""What is there: made-up paths lead nowhere."""
# Users have the pages, which the document leaves out: to its routes they are nobody.
ROLES = ("nobody", "researcher", "key", "client of CDS Hooks")


@pytest.fixture(scope="module")
def site(models: Mapping[str, list[ServedModel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with whole_site(models, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def operations(site: Site) -> list[Any]:
    document = httpx.get(f"{site.address}/openapi.json").json()
    return [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]


def ask_made_up(operation: Any, mode: GenerationMode, address: str, role: str, client: httpx.Client) -> None:
    """Send made-up requests to an operation, and check each answer against the document."""
    cases = operation.as_strategy(generation_mode=mode)
    names = {name: value for name, value in PATHS.items() if f"{{{name}}}" in operation.path}
    if names:
        cases |= operation.as_strategy(generation_mode=mode, path_parameters=names)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=EXAMPLES < 50,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Case) -> None:
        headers = {}
        if role == "key":
            headers["Authorization"] = client.headers["Authorization"]
        if role == "client of CDS Hooks":
            # A token is of one address, and counts once.
            headers |= bearer(case.formatted_path)
        response = case.call(base_url=address, headers=headers, cookies=dict(client.cookies))
        case.validate_response(response, checks=CHECKS)

    ask()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("role", ROLES)
def test_every_answer_is_documented(site: Site, operations: list[Any], role: str, mode: GenerationMode) -> None:
    problems = []
    with site.client(role) as client:
        for operation in operations:
            try:
                ask_made_up(operation, mode, site.address, role, client)
            except Unsatisfiable:
                # An operation without parameters and body has no invalid request.
                assert mode == GenerationMode.NEGATIVE
            except Exception as error:
                problems.append(f"{operation.label}: {error!r}: {error}")
    assert problems == [], "\n\n".join(problems)
