"""What the reader of a patient's page chose, from the address or from a posted form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from starlette.datastructures import FormData

from serving.pages.forms import number_field, text_field


@dataclass(frozen=True)
class Choices:
    """The choices; the address names features, and nothing that was measured.

    Attributes
    ----------
    worth : float
        Number of toxicities that one response is worth.
    changes : tuple of str
        Reasons to change, as `block:name`.
    donor : str
        Donor of the transplant whose expected stool replaces the taxa; empty for the training medians.
    """

    worth: float = 1.0
    changes: tuple[str, ...] = ()
    donor: str = ""


def choices_of_query(
    worth: float = 1.0, change: Annotated[list[str] | None, Query()] = None, donor: str = ""
) -> Choices:
    """Return the choices of an address."""
    return Choices(worth, tuple(change or ()), donor)


def choices_of_form(form: FormData) -> Choices:
    """Return the choices of a posted form.

    Raises
    ------
    InputError
        A field holds something else.
    """
    changes = tuple(value for value in form.getlist("change") if isinstance(value, str))
    return Choices(number_field(form, "worth") or 1.0, changes, text_field(form, "donor"))
