"""Whether a resource is one of FHIR R4, by the classes of fhir.resources.

Its package R4B (4.3.0) defines all resources used here as R4 (4.0.1) does. It is imported at the first request in FHIR:
it takes 0.2 s and 12 MB, which no other request should pay.
"""

from __future__ import annotations

from pydantic import JsonValue, ValidationError

from serving.fhir.issues import Issue, validation_issues


def conformance_issues(bundle: dict[str, JsonValue]) -> list[Issue]:
    """Return the errors of a Bundle: elements that R4 does not define, lacks, or defines with other values."""
    from fhir.resources.R4B.bundle import Bundle

    try:
        Bundle.model_validate(bundle)
    except ValidationError as error:
        return validation_issues(error, "Bundle")
    # The library looks the class of an entry up by the name of its type.
    except (KeyError, LookupError, ImportError, AttributeError, TypeError) as error:
        return [Issue("error", "invalid", "Bundle", f"a resource is of no type of FHIR R4 ({error})")]
    return []
