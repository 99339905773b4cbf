"""The MLflow server that `taxokine ui` starts: its UI opens for machine learning, without the assistant's panel.

MLflow keeps both choices in the browser, and opens for generative AI where there is none; a link inside the UI loses
the query that an address may have. Who chooses otherwise in the UI keeps that choice. `mlflow server --app-name
taxokine` finds this application by its entry point.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.server import app as pages
from mlflow.server.fastapi_app import app

__all__ = ["app"]

_CHOICES = {"mlflow.workflowType_v1": "machine_learning", "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True}
_SCRIPT = f"""<script>
for (const [key, choice] of Object.entries({json.dumps(_CHOICES)})) localStorage[key] ??= JSON.stringify(choice)
</script>"""


def first_page() -> str:
    """Return the page of the UI, with a script that sets the choices which the browser does not have."""
    html = Path(pages.static_folder, "index.html").read_text()
    return html.replace("<head>", f"<head>{_SCRIPT}", 1)


pages.view_functions["serve"] = first_page
