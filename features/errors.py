"""Errors that a user can cause; each message says what was expected, what came and what to do.

Errors that only the server raises, and the HTTP status of each error, are in `serving.errors`.
"""

from __future__ import annotations


class TaxokineError(Exception):
    """Base of every error that a user can cause or has to know of."""


class InputError(TaxokineError):
    """An input is not what it is declared to be, or a request contradicts itself."""


class FileError(InputError):
    """A file, or a value in it, is not what its manifest or its format requires.

    Parameters
    ----------
    problem : str
        What the file holds, what was expected and what to do.
    file : str or os.PathLike
        The file that was read.
    column : str, optional
        The column's name as it stands in the file.
    row : int, optional
        The line in the file, counted from 1 with the header.

    Attributes
    ----------
    problem, file, column, row
        The parameters; the message joins them.
    """

    def __init__(self, problem: str, *, file: object, column: str | None = None, row: int | None = None) -> None:
        place = str(file)
        if row is not None:
            place += f", row {row}"
        if column is not None:
            place += f", column {column!r}"
        super().__init__(f"{place}: {problem}")
        self.problem, self.file, self.column, self.row = problem, str(file), column, row


class ManifestError(InputError):
    """A cohort manifest is incomplete, contradicts itself or does not match its files."""


class UnitError(InputError):
    """A unit is unknown, or a conversion between two units has no meaning."""


class DataMissing(TaxokineError):
    """A cohort's files are not in the data folder and could not be fetched."""


class OutcomeError(InputError):
    """An outcome is not defined for the cohorts, or cannot be graded or pooled."""


class AuditError(InputError):
    """The audit found an error in the data that was not waived: the result of a model would be wrong."""


class BundleError(TaxokineError):
    """A model bundle is damaged, of an unknown protocol, or holds what a bundle may not hold."""


class SignatureError(BundleError):
    """A model bundle is not signed by a key that this server trusts."""


class ModelMissing(TaxokineError):
    """No model is registered for this outcome under this alias."""
