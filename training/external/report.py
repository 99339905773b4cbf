"""The report of a validation elsewhere, in Markdown."""

from __future__ import annotations

import re
from pathlib import Path

from models.evidence import ExternalValidation
from training.evidence.card import template_environment

TEMPLATES = Path(__file__).parent / "templates"


def validation_report(model: str, validation: ExternalValidation) -> str:
    """Return the report of a validation; each figure is a paragraph that `training.evidence.card.card_html` replaces.

    Parameters
    ----------
    model : str
        Name and version of the model.
    validation : ExternalValidation
    """
    template = template_environment(TEMPLATES).get_template("external_validation.md.jinja")
    report = template.render(model=model, validation=validation, performance=validation.performance)
    return re.sub(r"\n{3,}", "\n\n", report).strip() + "\n"
