"""Statements that SQLAlchemy compiles once and the driver runs, on the path of each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Dialect, Insert
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.selectable import TypedReturnsRows

_Row = TypeVar("_Row", bound=tuple[object, ...])


class DriverStatement(Generic[_Row]):
    """A statement that the driver runs without SQLAlchemy, which takes longer to run one than SQLite does.

    Parameters
    ----------
    statement : Insert or a statement that returns rows
    dialect : Dialect
        Of the database.

    Attributes
    ----------
    names : tuple of str
        Names of the values, in their order in the statement.
    """

    def __init__(self, statement: TypedReturnsRows[_Row] | Insert, dialect: Dialect) -> None:
        # SQLite's driver takes names too.
        dialect = sqlite_dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self._text, self._values = str(compiled), dict(compiled.params)
        self.names = tuple(self._values)
        processors = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
            if name in self._values
        }
        self._processors = {name: process for name, process in processors.items() if process is not None}

    def run(self, cursor: DBAPICursor, values: Mapping[str, object]) -> Sequence[_Row]:
        """Run the statement with these values, and return its rows."""
        cursor.execute(self._text, self._processed(values))
        return cursor.fetchall()

    def run_many(self, cursor: DBAPICursor, rows: Sequence[Mapping[str, object]]) -> None:
        """Run the statement with each of these values; it returns no rows."""
        cursor.executemany(self._text, [self._processed(values) for values in rows])

    def _processed(self, values: Mapping[str, object]) -> dict[str, object]:
        processed = {**self._values, **values}
        for name, process in self._processors.items():
            processed[name] = process(processed[name])
        return processed
