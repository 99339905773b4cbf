"""YAML read for manifests: every number stays the text that was written, and every key knows its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

MAX_CHARACTERS = 300_000
"""Of a document; a manifest that leaves out thousands of samples by name has a third of it."""
MAX_VALUES = 100_000
"""Of a document once its aliases are unfolded."""


class LocatedMapping(dict[str, object]):
    """A YAML mapping and the line of each of its keys, counted from 1."""

    lines: dict[str, int]

    def rename(self, key: str, new_key: str) -> None:
        """Give one key another name; its line stays."""
        self[new_key] = self.pop(key)
        self.lines[new_key] = self.lines.pop(key)


class _TextConstructor(SafeConstructor):
    """Read `yes`, `no`, `1.50` and `2020-01-31` as the text they are: they stand so in the published tables."""


def _text(constructor: _TextConstructor, node: ScalarNode) -> str:
    return str(node.value)


def _boolean(constructor: _TextConstructor, node: ScalarNode) -> str | bool:
    return node.value == "true" if node.value in {"true", "false"} else str(node.value)


def _mapping(constructor: _TextConstructor, node: MappingNode) -> Iterator[LocatedMapping]:
    mapping = LocatedMapping()
    yield mapping
    keys: set[str] = set()
    for key, _ in node.value:
        if key.value in keys:
            raise ConstructorError(None, None, f"the key {key.value!r} stands twice; remove one", key.start_mark)
        keys.add(key.value)
    mapping.update(constructor.construct_mapping(node, deep=True))
    # Keys that a merge ('<<') brings in have joined the node's by now.
    mapping.lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}


for _kind in ("int", "float", "timestamp"):
    _TextConstructor.add_constructor(f"tag:yaml.org,2002:{_kind}", _text)
_TextConstructor.add_constructor("tag:yaml.org,2002:bool", _boolean)
_TextConstructor.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(text: str) -> object:
    """Return the content of a YAML 1.2 document, its mappings as `LocatedMapping`.

    Raises
    ------
    ruamel.yaml.error.YAMLError
        If the text is no YAML, has a tag of another language or a mapping in which a key stands twice, or is longer or
        unfolds to more values than a manifest.
    """
    if len(text) > MAX_CHARACTERS:
        raise YAMLError(f"it has {len(text):,} characters; a manifest has at most {MAX_CHARACTERS:,}")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _TextConstructor
    content: object = yaml.load(text)
    _check_values(content)
    return content


def _check_values(content: object) -> None:
    """Refuse more values than a manifest has, counted where they stand and at each alias."""
    remaining, n_values = [content], 0
    while remaining:
        value = remaining.pop()
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        n_values += len(children)
        if n_values > MAX_VALUES:
            raise YAMLError(
                f"it has more than {MAX_VALUES:,} values, those of its aliases counted; a manifest has far fewer"
            )
        remaining += children


def unfinished_keys(content: object, location: tuple[str, ...] = (), line: int | None = None) -> Iterator[str]:
    """Yield each key whose value, or an entry of it, is TODO, with its line, as in 'line 4: title'."""
    if isinstance(content, str) and re.search(r"\bTODO\b", content):
        yield f"line {line}: {'.'.join(location)}"
    elif isinstance(content, LocatedMapping):
        for key, value in content.items():
            yield from unfinished_keys(value, (*location, key), content.lines.get(key, line))
    elif isinstance(content, list):
        for value in content:
            yield from unfinished_keys(value, location, line)


def unconfirmed_guesses(text: str) -> Iterator[str]:
    """Yield the lines in which a comment of a draft asks something, as in 'line 8'."""
    for line, content in enumerate(text.splitlines(), start=1):
        if re.search(r"(^|\s)#.*\bTODO:", content):
            yield f"line {line}"


def line_of(content: object, location: Sequence[str | int]) -> int | None:
    """Return the line of the deepest key on the way to a location, None where not even the first key is there."""
    line = None
    for key in location:
        if isinstance(content, LocatedMapping) and str(key) in content:
            line, content = content.lines.get(str(key), line), content[str(key)]
        elif isinstance(content, list) and isinstance(key, int) and key < len(content):
            content = content[key]
    return line
