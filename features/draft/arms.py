"""Drafted lines of the arms of a trial."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from features.draft.cells import is_missing
from features.draft.columns import names_matching, snake_case
from features.draft.yaml_lines import in_yaml
from features.manifest import ArmRole

_ARM_COLUMN = r"(^|_)(arm|allocation|randomi[sz]ed|randomi[sz]ation|treatment|group)(_|$)"
_ROLES: tuple[tuple[str, ArmRole], ...] = (
    (r"placebo|sham|autologous|own_stool", "sham"),
    (r"(^|_)(no|without|non)_(fmt|f?a?ecal|transplant)|alone|only|control|standard|^soc$|^ici$|^anti_?pd", "ici"),
    (r"fmt|f?a?ecal|microbiota|transplant|donor", "fmt_ici"),
)
"""The words by which an arm's role is recognised, the most specific first."""
_MOST_ARMS = 4


def arm_lines(columns: Mapping[str, pd.Series[str]]) -> list[str]:
    """Return the lines of `arms`; none where no column of patients has arms with FMT and without.

    Parameters
    ----------
    columns : mapping of str to pandas.Series of str
        The columns that hold one value for each patient, by name.
    """
    for column in names_matching(columns, _ARM_COLUMN):
        arms = [cell for cell in columns[column].unique() if not is_missing(cell)]
        roles = {arm: role for arm in arms if (role := _role(arm))}
        if len(arms) <= _MOST_ARMS and "fmt_ici" in roles.values() and len({*roles.values()}) > 1:
            todo = "TODO: confirm each role, and add 'randomised: true' if they were assigned at random"
            unclear = [arm for arm in arms if arm not in roles]
            if unclear:
                todo += f"; state the role of {', '.join(map(in_yaml, unclear))}"
            return [f"  arms: {in_yaml({'column': column, 'roles': roles})}  # guessed from the words; {todo}"]
    return []


def _role(arm: str) -> ArmRole | None:
    words = snake_case(arm)
    return next((role for pattern, role in _ROLES if re.search(pattern, words)), None)
