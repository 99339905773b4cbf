"""The reference of the API: what the OpenAPI document says, as a page in the design of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from serving.pages.rendering import PageRoute, render


@dataclass(frozen=True)
class TypeName:
    """One type of a field; `schema` is the name of the schema that it leads to, or empty."""

    text: str
    schema: str


@dataclass(frozen=True)
class SchemaField:
    """One field of a schema."""

    name: str
    types: tuple[TypeName, ...]
    is_required: bool
    meaning: str


@dataclass(frozen=True)
class SchemaSection:
    """One schema; `example` is JSON, or empty."""

    name: str
    meaning: str
    fields: tuple[SchemaField, ...]
    example: str


@dataclass(frozen=True)
class ResponseRow:
    """One response of a route, by its HTTP status."""

    status: str
    meaning: str
    types: tuple[TypeName, ...]


@dataclass(frozen=True)
class RouteSection:
    """One route; `body` are the types of its request."""

    method: str
    path: str
    summary: str
    needs_key: bool
    body: tuple[TypeName, ...]
    responses: tuple[ResponseRow, ...]


@dataclass(frozen=True)
class ApiReference:
    """The content of the page."""

    title: str
    routes: tuple[RouteSection, ...]
    schemas: tuple[SchemaSection, ...]


def reference_routes() -> APIRouter:
    """Return the route of the page; it needs no sign-in, as the document does not."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/docs")
    def docs(request: Request) -> Response:
        return render(request, "api_reference", reference=api_reference(request.app.openapi()))

    return router


def api_reference(document: Mapping[str, Any]) -> ApiReference:
    """Return what an OpenAPI document says of routes and schemas."""
    routes = tuple(
        _route(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    schemas = tuple(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return ApiReference(document["info"]["description"], routes, schemas)


def _route(method: str, path: str, operation: Mapping[str, Any]) -> RouteSection:
    return RouteSection(
        method.upper(),
        path,
        operation["summary"],
        "security" in operation,
        _content_types(operation.get("requestBody", {})),
        tuple(
            ResponseRow(status, response["description"], _content_types(response))
            for status, response in operation["responses"].items()
        ),
    )


def _schema(name: str, schema: Mapping[str, Any]) -> SchemaSection:
    required = schema.get("required", ())
    fields = tuple(
        SchemaField(field, tuple(_types(content)), field in required, content.get("description", ""))
        for field, content in schema.get("properties", {}).items()
    )
    example = json.dumps(schema["example"], indent=2) if "example" in schema else ""
    return SchemaSection(name, schema.get("description", ""), fields, example)


def _content_types(message: Mapping[str, Any]) -> tuple[TypeName, ...]:
    """Return the types of a request or a response: the schema of JSON, or else the media type."""
    return tuple(
        name
        for media_type, content in message.get("content", {}).items()
        for name in (_types(content["schema"]) if content.get("schema") else [TypeName(media_type, "")])
    )


def _types(field: Mapping[str, Any]) -> Iterator[TypeName]:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        yield TypeName(name, name)
    elif alternatives := field.get("anyOf") or field.get("oneOf") or field.get("allOf"):
        for alternative in alternatives:
            yield from _types(alternative)
    elif "enum" in field or "const" in field:
        yield TypeName(", ".join(map(str, field.get("enum", [field.get("const")]))), "")
    elif field.get("type") == "array":
        yield from (TypeName(f"list of {item.text}", item.schema) for item in _types(field.get("items", {})))
    elif isinstance(field.get("additionalProperties"), dict):
        names = _types(field["additionalProperties"])
        yield from (TypeName(f"object of {item.text} by name", item.schema) for item in names)
    else:
        yield TypeName(str(field.get("type", "any")), "")
