"""What MLflow keeps of a run besides metrics."""

from __future__ import annotations

import pytest

from models.registry import client
from training.tracking import log_description

_NOTE = "mlflow.note.content"


@pytest.mark.usefixtures("store")
def test_a_long_description_leaves_room_for_the_links_below_it() -> None:
    links = f"[Models on the server](https://taxokine.{'hospital' * 12}.example/models)"
    run_id = client().create_run("0", tags={_NOTE: links}).info.run_id
    log_description(run_id, "word " * 2000)
    note = client().get_run(run_id).data.tags[_NOTE]
    assert note.startswith("word word")
    assert note.endswith(f"\n\n{links}")
