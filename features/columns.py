"""The names of a feature table's columns: one type, and its one text form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BLOCKS = ("taxa", "immune", "clinical", "donor", "over_time")
"""The blocks of measurements that may become features."""

_EXPRESSION = "log2_expression"
_EXPRESSION_SUFFIX = " mRNA"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feature table.

    A transcript and the protein of the same name are different columns: the name of a transcript ends in " mRNA". A
    categorical field has a 0/1 column for each level, named `field=level`.

    Attributes
    ----------
    block : str
        "taxa", "immune", "clinical", "donor", "over_time", or "technical" for how a sample was measured.
    field : str
        The taxon, the analyte, or the clinical or technical field.
    level : str
        The level of a categorical field that this column indicates; empty for numbers.
    unit : str
        The unit of an immune measurement; empty where none is known.

    Examples
    --------
    >>> Column.parse("clinical:sex=female")
    Column(block='clinical', field='sex', level='female', unit='')
    >>> Column("immune", "CXCL9", unit="log2_expression").text
    'immune:CXCL9 mRNA'
    """

    block: str
    field: str
    level: str = ""
    unit: str = ""

    @property
    def name(self) -> str:
        """The column's name within its block."""
        if self.level:
            return f"{self.field}={self.level}"
        return f"{self.field}{_EXPRESSION_SUFFIX}" if self.unit == _EXPRESSION else self.field

    @property
    def text(self) -> str:
        """The column's name in an exported table, `block:name`."""
        return f"{self.block}:{self.name}"

    @classmethod
    def from_name(cls, block: str, name: str, unit: str = "") -> Column:
        """Return the column that bears a name within its block.

        Parameters
        ----------
        block, name : str
        unit : str
            The unit of an immune measurement. Where it is not known, the name still tells a transcript.
        """
        if block == "immune":
            unit = unit or (_EXPRESSION if name.endswith(_EXPRESSION_SUFFIX) else "")
            return cls(block, name.removesuffix(_EXPRESSION_SUFFIX) if unit == _EXPRESSION else name, unit=unit)
        if block == "taxa":
            return cls(block, name)
        field, _, level = name.partition("=")
        return cls(block, field, level)

    @classmethod
    def parse(cls, text: str) -> Column | None:
        """Return the column whose `text` this is; None where the text names no column of a block."""
        block, _, name = text.partition(":")
        return cls.from_name(block, name) if block in BLOCKS and name else None


def levels_by_field(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the levels of each clinical field among these columns' names; an empty list for a field of numbers."""
    levels: dict[str, list[str]] = {}
    for name in names:
        column = Column.from_name("clinical", name)
        levels.setdefault(column.field, []).extend([column.level] if column.level else [])
    return levels
