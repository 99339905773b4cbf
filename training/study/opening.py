"""How the report opens: what the study can and cannot say, what qualifies its results, and at most six bullets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.audit import Finding
from features.cohort import Cohort
from training.study.analysis.limits import cohort_limits
from training.study.section import Section
from training.study.sentences import as_sentence, write_sentences

MAX_BULLETS = 6
"""Bullets that open the page."""
OF_ALL_ARMS = ("patients", "immune", "microbiome", "links")
"""Sections whose results are of all arms together, which are no headline where arms are compared."""


@dataclass(frozen=True)
class Opening:
    """The paragraphs and bullets under *In short*.

    Attributes
    ----------
    verdict : tuple of str
        What the study can and cannot say: of the comparison of arms where there is one, else of the cohort.
    qualifiers : tuple of str
        What a reader must know before any result.
    bullets : tuple of tuple of str
        The headlines of each section; of the comparison of arms, each headline is a bullet.
    notes : tuple of str
        By which rule the bullets hold p-values.
    """

    verdict: tuple[str, ...]
    qualifiers: tuple[str, ...]
    bullets: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """The opening as Markdown."""
        paragraphs = [f"**{_paragraph(self.verdict)}**", _paragraph(self.qualifiers)]
        bullets = "\n".join(f"- {_paragraph(sentences)}" for sentences in self.bullets)
        return "\n\n".join(filter(None, (*paragraphs, bullets, _paragraph(self.notes))))


def _paragraph(sentences: Sequence[str]) -> str:
    return " ".join(map(as_sentence, sentences))


def opening(cohort: Cohort, findings: Sequence[Finding], sections: Sequence[Section]) -> Opening:
    """Return how the report of a cohort opens.

    Where arms are compared, what holds of all arms together is no headline.

    Parameters
    ----------
    cohort : Cohort
    findings : sequence of Finding
        The audit's.
    sections : sequence of Section
        In the order of the report.
    """
    general = write_sentences("limits", cohort_limits(cohort, findings))
    compared = next((section.verdict for section in sections if section.verdict), ())
    bullets = [
        bullet
        for section in sections
        if not (compared and section.name in OF_ALL_ARMS)
        for bullet in ([(headline,) for headline in section.headlines] if section.verdict else [section.headlines])
        if bullet
    ]
    return Opening(
        verdict=compared or general["verdict"],
        qualifiers=(*general["qualifiers"], *(text for section in sections for text in section.qualifiers)),
        bullets=tuple(bullets[:MAX_BULLETS]),
        notes=general["notes"],
    )
