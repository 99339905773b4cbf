"""The model card: what a model is and how far it can be believed, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.validation import Fit


def model_card(
    name: str, outcome: str, family: str, blocks: Sequence[str], fitted: Fit, evidence: Mapping[str, Any]
) -> str:
    """Return a model's card.

    Parameters
    ----------
    name, outcome, family : str
    blocks : sequence of str
    fitted : Fit
    evidence : dict
        `training.evidence.Evidence.content`.
    """
    rows = "\n".join(
        f"| {one['cohort']} | {one['patients']} | {one['events']} | {_interval(one)} |"
        for one in evidence["per_cohort"]
    )
    cohorts = "\n".join(
        f"- {one['name']}: {one['title']}. {one['citation']} ({one['licence']}). Day 0 ({one['clock']}): "
        f"{one['index_event']}. Profiler: {one['profiler'] or 'not stated'}."
        for one in evidence["cohorts"]
    )
    setting = ", ".join(f"{key} {value}" for key, value in fitted.setting.items())
    warning = "**SIMULATED DATA.** Nothing here says anything of real patients.\n\n" if evidence["simulated"] else ""
    labels = "\n\nLabels of different meaning were pooled." if evidence["pooled_labels"] else ""
    return f"""# {outcome}: {name}

{warning}Research use. Not a medical device. Associations, not causes.

**Evidence.** {evidence["sentence"][0].upper()}{evidence["sentence"][1:]}. It is one of
{evidence["chosen_from"]} models tried on these data; chosen as the best of them, its own figure would flatter it.

## Outcome

{evidence["definition"]}.{labels}

## Left-out performance ({evidence["scheme"]})

| cohort | patients | events | AUROC (95% interval) |
|---|---|---|---|
{rows}

Brier score {evidence["left_out_brier"]:.3f}; saying each cohort's prevalence scores {evidence["prevalence_brier"]:.3f}.
Intervals are bootstrap intervals at fixed predictions, within cohort; refitting would widen them.

## Model

{family} on {" + ".join(blocks)}: {len(fitted.encoder.features_)} features; {setting}. Taxa as
{fitted.encoder.representation}, found in at least {fitted.encoder.min_prevalence:.0%} of training samples. Calibrated
on left-out log-odds (slope {fitted.calibration.slope:.2f}). Measured up to day {evidence["landmark"]:g}, at most
{evidence["window"]:g} days before it.

## Data

{cohorts}

{chr(10).join(f"- {note}" for note in evidence["notes"])}
"""


def _interval(one: Mapping[str, Any]) -> str:
    if one["auroc"] is None:
        return "not measurable: one outcome only"
    return f"{one['auroc']:.2f} ({one['auroc_low']:.2f} to {one['auroc_high']:.2f})"
