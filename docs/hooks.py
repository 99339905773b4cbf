"""MkDocs hooks: pages and formulas that are generated from the code, so that they cannot differ from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from griffe import Docstring, DocstringSectionAttributes
from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- (manifest|http) reference -->")
FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)\s*(.*?)\s*(?:\\\)|\\\])</\1>', re.DOTALL)


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Replace each mark by the reference that the code generates."""
    references = {"manifest": manifest_reference, "http": http_reference}
    return MARK.sub(lambda mark: "\n".join(references[mark[1]]()), markdown)


def on_page_content(html: str, **context: Any) -> str:
    """Replace LaTeX by MathML, which every browser draws without a script."""

    def mathml(formula: re.Match[str]) -> str:
        latex = formula[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return convert(latex, display="block" if formula[1] == "div" else "inline")

    return FORMULA.sub(mathml, html)


def manifest_reference() -> Iterator[str]:
    """Yield one table for each part of a manifest, from the models that read it."""
    from features.manifest import Manifest

    schema = Manifest.model_json_schema()
    yield from _part("manifest", schema)
    for name, part in schema["$defs"].items():
        if "properties" in part:
            yield from _part(name, part)


def http_reference() -> Iterator[str]:
    """Yield one section for each route of the API, and one table for each document that it takes or returns."""
    document = _openapi()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            yield f"### `{method.upper()} {path}`\n"
            yield f"{route.get('description', route['summary'])}\n"
            for status, response in route["responses"].items():
                yield f"- **{status}** {response['description']}: {_type(_content(response))}"
            yield ""
    yield "## Documents\n"
    for name, part in document["components"]["schemas"].items():
        if "properties" in part:
            yield from _part(name, part)


def _openapi() -> dict[str, Any]:
    from tempfile import TemporaryDirectory

    from serving.accounts import Accounts
    from serving.app import create_app
    from serving.database import open_database

    with TemporaryDirectory() as folder:
        app = create_app({}, Accounts(open_database(f"sqlite:///{folder}/accounts.db")))
        return app.openapi()


def _content(response: dict[str, Any]) -> dict[str, Any]:
    contents = list(response.get("content", {}).values())
    return contents[0].get("schema", {}) if contents else {}


def _part(name: str, part: dict[str, Any]) -> Iterator[str]:
    yield f"### {name} {{ #{_anchor(name)} }}\n"
    summary, meanings = _docstring(part.get("description", ""))
    yield f"{summary}\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    required = set(part.get("required", ()))
    for key, field in part["properties"].items():
        default = field.get("default")
        written = "required" if key in required else f"`{default}`" if isinstance(default, str | float) else ""
        meaning = " ".join(field.get("description", meanings.get(key, "")).split()).replace("|", "\\|")
        yield f"| `{key}` | {_type(field)} | {written} | {meaning} |"
    yield ""


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return a class's summary, and the meaning of each of its attributes."""
    sections = Docstring(text).parse("numpy", warnings=False)
    summary = " ".join(section.value for section in sections if section.kind.value == "text")
    meanings = {
        name.strip(): attribute.description
        for section in sections
        if isinstance(section, DocstringSectionAttributes)
        for attribute in section.value
        for name in attribute.name.split(",")
    }
    return summary.partition("\n\n")[0], meanings


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            return " or ".join(dict.fromkeys(_type(part) for part in field[several]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"mapping to {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))


def _anchor(name: str) -> str:
    return name.casefold()
