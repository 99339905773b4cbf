"""The house rules that a program can check: names, lengths, and one meaning for each class name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("features", "models", "training", "serving", "taxokine", "benchmarks", "docs", "tests")
WORDS = """
one ones found said told mine at of given left kept seen judged about around beside among by into off it its
they them this that these those such each asked shown taken made done drawn named held chosen tried beaten
become became got came gone went here there whole again twice wanted meant thing things what who whom whose
which without upon along across stated fitted bounded masked spelled reached averaged placed born called moved
changed knows tells says stands
"""
VAGUE = frozenset(WORDS.split())
"""Pronouns, participles and prepositions: they do not say what a variable holds."""
PROGRAM = ("features", "models", "training", "serving", "taxokine")
WORDS_OF_TESTS = """
above after always before below between counted down expected first for from known last least less listed measured
mentioned more most never next on once others over own paired read right same second since some sorted to under
until up used when where with within written
"""
VAGUE_IN_PROGRAM = VAGUE | frozenset(WORDS_OF_TESTS.split())
"""Words that say enough in a test of ten lines (`expected`, `first`), but not in the program."""
KEYS = {
    "features/manifest/tables.py": {"below", "above", "within"},
    "models/donors/records.py": {"expected"},
    "models/evidence/training_patients.py": {"measured", "below", "above"},
    "models/prediction.py": {"expected"},
    "models/what_if.py": {"before", "after"},
    "serving/pages/views/parts.py": {"expected"},
}
"""Names that manifests, bundles and answers already hold, by file."""
LONGEST = 60


def sources():
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def bindings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_say_what_they_hold(path):
    file = path.relative_to(ROOT)
    words = VAGUE_IN_PROGRAM if file.parts[0] in PROGRAM else VAGUE
    words -= KEYS.get(file.as_posix(), set())
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"line {line}: {name}" for line, name in bindings(tree) if name.strip("_") in words] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_fit_a_screen(path):
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: node.end_lineno - node.lineno + 1 - _docstring_lines(node) for node in functions}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_two_public_classes_share_a_name():
    places = defaultdict(list)
    for path in sources():
        if "tests" not in path.relative_to(ROOT).parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_types_of_arrays_are_defined_once():
    aliases = re.compile(r"^(\w+) = NDArray\[[\w.]+\]$", re.M)
    places = {
        path.relative_to(ROOT).as_posix(): aliases.findall(path.read_text(encoding="utf-8")) for path in sources()
    }
    assert {file: names for file, names in places.items() if names} == {
        "features/arrays.py": ["Vector", "Matrix", "Names", "Positions", "Counts", "Mask", "Labels"]
    }


def _docstring_lines(node):
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first.end_lineno - first.lineno + 1 if is_docstring else 0
