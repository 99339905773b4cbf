"""The MLflow server of `taxokine ui`: what the first page of its UI tells the browser."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

from starlette.testclient import TestClient

from taxokine.ui import ui_command


def test_the_ui_opens_for_machine_learning_unless_its_user_chose_otherwise(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    command = ui_command(5000)
    (entry_point,) = entry_points(group="mlflow.app", name=command[command.index("--app-name") + 1])
    response = TestClient(entry_point.load(), "http://localhost").get("/")
    (script,) = re.findall(r"<head><script>(.*?)</script>", response.text, re.DOTALL)
    assert '"mlflow.workflowType_v1": "machine_learning"' in script
    assert "localStorage[key] ??=" in script
    assert 'id="root"' in response.text


def test_the_key_of_the_choice_is_the_one_that_mlflow_reads():
    import mlflow.server

    scripts = Path(mlflow.server.app.static_folder).glob("static/js/main.*.js")
    assert any(re.search(r'key:"mlflow\.workflowType",version:1\b', path.read_text()) for path in scripts)
