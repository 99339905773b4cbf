"""Tables of typed results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd


def results_frame(results: Sequence[object], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return results as rows.

    Parameters
    ----------
    results : sequence of dataclasses
    columns : mapping of str to str
        The heading of each attribute; a dotted name reaches an attribute's attribute.
    """
    return pd.DataFrame(
        {heading: [_attribute(result, name) for result in results] for name, heading in columns.items()}
    )


def _attribute(result: object, name: str) -> object:
    for part in name.split("."):
        result = getattr(result, part)
    return result
