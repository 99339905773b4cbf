"""The types that every part of a manifest is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from features.dates import DateOrder


def cell_text(value: object) -> object:
    """Return a YAML scalar as the text of a table's cell."""
    if value is None:
        raise ValueError('expected text, got nothing; write "" for an empty cell')
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _list_of_cells(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, as in [{value}]")
    return value


def _check_file_name(name: str) -> str:
    if not name or name in {".", ".."} or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} is not the plain name of a file; the files of a cohort lie in one folder")
    return name


FileName = Annotated[str, AfterValidator(_check_file_name)]
"""The name of a file in the cohort's folder."""

CellText = Annotated[str, BeforeValidator(cell_text)]
"""The text of one cell, as it stands in a file; numbers and booleans of YAML are taken as text."""

CellTexts = Annotated[tuple[CellText, ...], BeforeValidator(_list_of_cells)]
"""The texts of several cells, as they stand in a file."""


class ManifestPart(BaseModel):
    """A part of a manifest: immutable, and without keys that it does not define.

    The docstring under each field is its description in the JSON schema and in the manifest reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ColumnPattern(ManifestPart):
    """A regular expression that is searched for in every cell of one column."""

    column: str
    """The column."""
    pattern: str
    """The regular expression, in Python's syntax."""

    @model_validator(mode="after")
    def _check_pattern_compiles(self) -> Self:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is not a regular expression: {error}") from error
        return self


class ValueRule(ManifestPart):
    """The meaning of the values of one column; every value has one meaning."""

    @property
    def meanings(self) -> dict[str, str]:
        """The key under which each value stands, such as `yes`."""
        return {value: meaning for meaning, values in self if isinstance(values, tuple) for value in values}

    @model_validator(mode="after")
    def _check_each_value_has_one_meaning(self) -> Self:
        meanings: dict[str, str] = {}
        for meaning, values in self:
            for value in values if isinstance(values, tuple) else ():
                if value in meanings:
                    raise ValueError(f"{value!r} stands under {meanings[value]} and under {meaning}; keep it under one")
                meanings[value] = meaning
        return self


def variant_by_key(key: str, tag_with_key: str, tag_without_key: str) -> Discriminator:
    """Return a discriminator between two variants of a part, by a key that only the first one has.

    Errors then speak of that variant alone.
    """

    def tag(part: object) -> str:
        has_key = key in part if isinstance(part, Mapping) else hasattr(part, key)
        return tag_with_key if has_key else tag_without_key

    return Discriminator(tag)


class DayFromDates(ManifestPart):
    """Two columns of dates: the day is the number of days from the date of day 0 to that of the row."""

    date: str = Field(alias="from")
    """Column of the date of the row."""
    index: str
    """Column of the date of day 0, in the same or in the patients' sheet."""
    order: DateOrder | None = None
    """The order of dates such as 03/04/2023; by default that which another date of the column proves."""


def _tag_of_day(day: object) -> str:
    return "name" if isinstance(day, str) else "dates"


DayColumn = Annotated[Annotated[str, Tag("name")] | Annotated[DayFromDates, Tag("dates")], Discriminator(_tag_of_day)]
"""A column of days on the cohort's clock, or two columns of dates."""


def day_column(day: DayColumn) -> str:
    """Return the column of the day, or of its date."""
    return day if isinstance(day, str) else day.date
