"""What was measured elsewhere is in the API, on the card, and escaped."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np

from models.evidence import AbstentionReason, ExternalValidation
from serving.app import create_app
from training.external.performance import external_performance

from .conftest import running

RNG = np.random.default_rng(0)
PERFORMANCE = external_performance(
    (RNG.random(40) < 0.4).astype(float), RNG.random(40), "elsewhere", np.full(40, "elsewhere", dtype=object)
)
VALIDATION = ExternalValidation(
    cohort="elsewhere",
    title="Elsewhere",
    outcome="objective_response",
    simulated=False,
    labelled=44,
    training_patients=1,
    predicted=40,
    with_care=40,
    abstained=3,
    abstentions=(AbstentionReason("coverage", 3),),
    performance=PERFORMANCE,
    recalibration=None,
    contradictions=("it ranks patients the wrong way <round>",),
    sentence="on elsewhere no discrimination was shown",
    notes=(),
    taxokine_version="0",
)
UNMEASURED = replace(VALIDATION, cohort="nowhere", performance=None, predicted=0, abstained=43, contradictions=())


def test_the_api_and_both_kinds_of_card_show_what_was_measured_elsewhere(models, key_and_accounts):
    with_page = replace(models["objective_response"][0], external_validations=(VALIDATION, UNMEASURED))
    with_text = replace(models["toxicity_any"][0], external_validations=(VALIDATION,))
    key, accounts = key_and_accounts
    app = create_app({"objective_response": [with_page], "toxicity_any": [with_text]}, accounts)
    with running(app) as address, httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client:
        described, _ = client.get("/v1/models").json()["models"]
        page = client.get(f"/v1/models/objective_response/{with_page.version}/card").text
        text = client.get(f"/v1/models/toxicity_any/{with_text.version}/card").text
    assert [row["cohort"] for row in described["external_validations"]] == ["elsewhere", "nowhere"]
    assert described["external_validations"][0]["performance"]["auroc"]["value"] == PERFORMANCE.auroc.value
    for part in (
        "Validated elsewhere",
        f"{PERFORMANCE.auroc.value:.2f} (",
        "no patient was predicted",
        "the wrong way &lt;round",
    ):
        assert part in page
    assert "Abstained by the rule on coverage (3)" in page
    assert "Tested on 2 other cohorts, 40 patients." in page
    assert (
        "## Validated elsewhere\n\nTested on 1 other cohort, 40 patients.\n\n- on elsewhere no discrimination was shown"
        in text
    )
