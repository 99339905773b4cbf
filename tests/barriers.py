"""What a page must not have: barriers for those who read it by other means, as axe finds them."""

from __future__ import annotations

from typing import Any

_OPTIONS = {"resultTypes": ["violations"]}
# The dark scheme changes nothing but colours.
_OPTIONS_BY_SCHEME = {"light": _OPTIONS, "dark": {**_OPTIONS, "runOnly": ["color-contrast", "link-in-text-block"]}}


def no_barrier(page: Any) -> None:
    """Assert that axe finds nothing of any impact, in light and dark, with everything unfolded."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    for scheme, options in _OPTIONS_BY_SCHEME.items():
        page.emulate_media(color_scheme=scheme)
        # The policy of the page refuses scripts that are loaded, not those that the driver evaluates.
        violations = Axe().run(page, options=options).response["violations"]
        barriers = {rule["id"]: [node["html"][:120] for node in rule["nodes"]] for rule in violations}
        assert barriers == {}, (page.url, scheme)
    page.emulate_media(color_scheme="light")
