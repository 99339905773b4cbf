"""The text form of a feature table's columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import BLOCKS, Column, levels_by_field

NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("taxa:Blautia_wexlerae", Column("taxa", "Blautia_wexlerae")),
        ("taxa:GUT_GENOME:1=2", Column("taxa", "GUT_GENOME:1=2")),
        ("clinical:age", Column("clinical", "age")),
        ("clinical:sex=female", Column("clinical", "sex", "female")),
        ("immune:CXCL9 mRNA", Column("immune", "CXCL9", unit="log2_expression")),
    ],
)
def test_text_form(text: str, column: Column) -> None:
    assert Column.parse(text) == column
    assert column.text == text


@pytest.mark.parametrize("text", ["patient", "taxa:", "other:b", "technical:reads"])
def test_text_that_names_no_feature(text: str) -> None:
    assert Column.parse(text) is None


@given(st.sampled_from(BLOCKS), NAMES, st.one_of(st.just(""), NAMES))
def test_name_and_parse_are_inverse(block: str, field: str, level: str) -> None:
    column = Column(block, field, level if block == "clinical" else "")
    assert Column.from_name(block, column.name) == Column.parse(column.text) == column


def test_levels_by_field() -> None:
    assert levels_by_field(["age", "sex=female", "sex=male"]) == {"age": [], "sex": ["female", "male"]}
