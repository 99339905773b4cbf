"""Issues of a request in FHIR, and the OperationOutcome that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import JsonValue, ValidationError

from features.errors import InputError

IssueSeverity = Literal["error", "warning", "information"]
IssueType = Literal[
    "invalid", "code-invalid", "value", "not-supported", "business-rule", "informational", "exception", "throttled"
]
"""Of http://hl7.org/fhir/R4/valueset-issue-type.html."""
MAX_ISSUES = 20
"""The most errors of one resource that are listed."""
ALL_UNDERSTOOD = "Everything that was sent was understood and used."


@dataclass(frozen=True)
class Issue:
    """What was not understood, not used, or refused.

    Attributes
    ----------
    severity : {"error", "warning", "information"}
        An error refuses the whole request; a warning says that something has no effect which might have had one.
    code : IssueType
    place : str
        FHIRPath of the element, such as `Bundle.entry[2].resource.valueQuantity`.
    text : str
        What came, what was expected and what to do.
    """

    severity: IssueSeverity
    code: IssueType
    place: str
    text: str


class RefusedBundle(InputError):
    """A Bundle that cannot be answered.

    Parameters
    ----------
    issues : sequence of Issue
        At least one error.

    Attributes
    ----------
    issues : tuple of Issue
    """

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__("; ".join(f"{issue.place}: {issue.text}" for issue in issues if issue.severity == "error"))
        self.issues = tuple(issues)

    @classmethod
    def of_place(cls, place: str, text: str) -> Self:
        """Return the refusal for one reason."""
        return cls([Issue("error", "business-rule", place, text)])


def validation_issues(error: ValidationError, place: str) -> list[Issue]:
    """Return the errors that pydantic found in the element at a place; they do not repeat its values."""
    issues: list[Issue] = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_ISSUES]:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
        issues.append(Issue("error", "invalid", f"{place}{path}", f"{detail['msg']}; correct it as FHIR R4 requires"))
    return issues


def operation_outcome(issues: Sequence[Issue]) -> dict[str, JsonValue]:
    """Return the OperationOutcome (R4) of these issues; it says so where there are none."""
    entries = issues or [Issue("information", "informational", "Bundle", ALL_UNDERSTOOD)]
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in entries]}


def _issue(issue: Issue) -> JsonValue:
    return {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": issue.text,
        "expression": [issue.place],
    }
