"""How serious a finding of an audit is."""

from __future__ import annotations

from typing import Literal, get_args

Severity = Literal["error", "warning", "note"]
"""An error makes a result wrong; a warning changes what it means; a note is a fact."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The severities, the most serious first."""
