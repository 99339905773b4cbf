"""Values written as YAML on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_WORDS_WITH_A_MEANING = {"yes", "no", "y", "n", "true", "false", "on", "off", "null"}


def in_yaml(value: object) -> str:
    """Return a value as YAML on one line; text that is not plain words is quoted, and empty lists are left out."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{in_yaml(key)}: {in_yaml(entry)}" for key, entry in value.items() if entry != []) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(in_yaml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    if re.fullmatch(r"[A-Za-z]\w*([ ./-]\w+)*", text, re.ASCII) and text.casefold() not in _WORDS_WITH_A_MEANING:
        return text
    # JSON's quotes are YAML's too, but YAML takes U+2028 and the like for line breaks.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
