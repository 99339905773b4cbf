"""What the command line prints, as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from features.outcomes import OUTCOME_IDS, meaning

if TYPE_CHECKING:
    from pathlib import Path

    from features.audit import Finding
    from features.cohort import Cohort
    from features.landmark import FeatureTable
    from training.evidence.promotion import Promotion
    from training.experiment import Result
    from training.study.plan import Planned
    from training.study.study import Studied
    from training.survival import SurvivalResult

ROWS_SHOWN = 5
"""Of each finding of an audit."""


def cohort_report(cohort: Cohort) -> str:
    """Return what a cohort holds, by its manifest."""
    said, samples = cohort.manifest, cohort.samples
    patients = samples.loc[~samples["donor"], "patient"]
    lines = [
        f"{said.name}: {said.title}{' (simulated)' if said.simulated else ''}",
        f"  patients   {patients.nunique()} with {len(patients)} stool samples"
        + (f"; {len(cohort.donors)} donor samples" if len(cohort.donors) else ""),
        f"  taxa       {len(cohort.taxa.taxa)} ({said.taxa.rank}), {cohort.taxa.unit}, "
        f"profiler {cohort.taxa.profiler or 'not stated'}",
        f"  clock      {said.clock.name}, day 0 is {said.clock.index}; stool "
        + ("is dated" if said.samples.day else f"is not dated ({said.samples.baseline or 'by visit'})"),
    ]
    if len(cohort.clinical.columns):
        lines.append(f"  clinical   {', '.join(cohort.clinical.columns)}")
    if cohort.immune is not None:
        rows = cohort.immune.rows
        counts = rows["censored"].value_counts()
        lines.append(
            f"  immune     {rows['analyte'].nunique()} analytes ({cohort.immune.kind}, {cohort.immune.unit}); "
            f"{counts.get('below', 0)} values below and {counts.get('above', 0)} above their range"
        )
        renamed = {a: b for a, b in cohort.immune.synonyms().items() if a != b}
        if renamed:
            lines.append(f"             {', '.join(f'{a} read as {b}' for a, b in renamed.items())}")
    known = set(patients)
    for outcome, flags in cohort.labels.flags.items():
        mine = flags[flags.index.isin(known)]
        lines.append(
            f"  outcome    {outcome}: {int((mine == True).sum())} yes, {int((mine == False).sum())} no, "  # noqa: E712
            f"{int(mine.isna().sum())} unknown ({meaning(outcome)})"
        )
    if cohort.labels.events is not None:
        events = cohort.labels.events
        before = int((events.frame["day"] < events.since).sum())
        lines.append(
            f"  outcome    toxicity: {len(events.frame)} dated events of {events.frame['patient'].nunique()} patients, "
            f"{before} before day {events.since:g}, not counted"
        )
    lines += [f"  never      {column}: {why}" for column, why in said.never.items()]
    lines += [f"  note       {note}" for note in (*cohort.notes, *said.notes)]
    return "\n".join(lines)


def audit_report(findings: Sequence[Finding]) -> str:
    """Return what an audit found: errors first, each kind once with why it matters and what to do."""
    from features.audit import SEVERITIES

    lines = []
    for severity in SEVERITIES:
        kinds: dict[str, list[Finding]] = {}
        for one in findings:
            if one.severity == severity:
                kinds.setdefault(one.code, []).append(one)
        for code, found in kinds.items():
            lines += ["", f"{severity}: {code}"]
            for one in found:
                lines.append(f"  {one.cohort}: {one.what}")
                more = f" and {len(one.rows) - ROWS_SHOWN} more" if len(one.rows) > ROWS_SHOWN else ""
                lines += [f"    {', '.join(one.rows[:ROWS_SHOWN])}{more}"] if one.rows else []
            lines += [f"  why  {found[0].why}", f"  do   {found[0].todo}"]
    counts = Counter(one.severity for one in findings)
    told = [f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}" for severity in SEVERITIES]
    return "\n".join([*lines, "", f"audit: {', '.join(told)}"])


def table_report(table: FeatureTable) -> str:
    """Return what a feature table holds, cohort by cohort."""
    lines = []
    for name in table.cohorts:
        rows = table.rows[table.rows["cohort"] == name]
        paired = rows["draw"].notna()
        line = f"{name}: {rows['patient'].nunique()} patients, {len(rows)} rows"
        if paired.any():
            line += f", {paired.sum()} of them with blood ({rows.loc[paired, 'patient'].nunique()} patients)"
        lines.append(line)
        for outcome in OUTCOME_IDS:
            label, at_risk = rows[outcome], rows[f"at_risk_{outcome}"]
            if label.notna().any():
                risk = "at risk not checkable"
                if (at_risk != "not checkable").any():
                    risk = f"{(at_risk == 'yes').sum()} at risk at the landmark"
                lines.append(
                    f"  {outcome}: {int(label.sum())} yes, {int((~label.dropna().astype(bool)).sum())} no, "
                    f"{label.isna().sum()} not known or over; {risk}"
                )
    lines.append(
        f"{len(table.taxa.names)} taxa, {len(table.immune.names)} immune measurements, "
        f"{len(table.clinical.names)} clinical columns"
    )
    return "\n".join([*lines, *(f"note: {note}" for note in table.notes)])


def result_report(result: Result) -> str:
    """Return an experiment's models as a table, the best first, with what must be known of them."""
    lines = [
        f"{'family':<15}{'blocks':<24}{'patients':>9}{'events':>8}   {'left-out AUROC (95%)':<23}"
        f"{'new cohort (95%)':<19}{'p':>6}   {'gain over covariates (95%)':<31}Brier"
    ]
    for one in result.trained:
        said = one.evidence.validation
        mean, null, gain = said["random_effects"], said["permutation"], said["gain"]
        found = one.evidence.auroc
        lines.append(
            f"{one.family:<15}{'+'.join(one.blocks):<24}{said['patients']:>9}{said['events']:>8}   "
            f"{_span(found.value, found.low, found.high):<23}"
            f"{_span(None, mean['prediction_low'], mean['prediction_high']):<19}"
            f"{'–' if null is None else format(null['p'], '.3f'):>6}   "
            f"{_span(gain['value'], gain['low'], gain['high'], '+') if gain else '–':<31}{said['within']['brier']:.3f}"
        )
    best = result.trained[0]
    said = best.evidence.validation
    lines += ["", f"{best.family} on {'+'.join(best.blocks)}, cohort by cohort, and beside it the same patients by"]
    lines += [
        f"  {one['cohort']:<24}{one['patients']:>5} patients{one['events']:>5} events   "
        f"{_span(one['auroc']['value'], one['auroc']['low'], one['auroc']['high'])}"
        for one in said["per_cohort"]
    ]
    lines += [
        f"  {one['name']:<24}{one['patients']:>5} patients{'':>12}   "
        f"{_span(one['auroc']['value'], one['auroc']['low'], one['auroc']['high']):<23}Brier {one['brier']:.3f}"
        for one in said["baselines"]
    ]
    lines += [
        "",
        f"{result.outcome}: {best.family} on {'+'.join(best.blocks)} is registered as candidate, version "
        f"{result.aliases['candidate']}",
        f"evidence: {best.evidence.content['sentence']}",
        f"chosen from {best.evidence.content['chosen_from']} models by that very figure, which flatters it; "
        f"{said['looks']['experiments']} earlier experiments on these data tried {said['looks']['models']} more",
        *(f"note: {note}" for note in result.notes),
        f"run {result.run_id}; compare the runs with 'taxokine ui'",
    ]
    return "\n".join(lines)


def survival_report(result: SurvivalResult) -> str:
    """Return a time-to-event experiment's models as a table, the best first, and the cumulative incidence."""
    lines = [f"{'family':<20}{'blocks':<24}{'patients':>9}{'events':>8}   left-out C (95%)"]
    for one in result.trained:
        found = one.concordance
        lines.append(
            f"{one.family:<20}{'+'.join(one.blocks):<24}{one.patients:>9}{one.events:>8}   "
            f"{_span(found.value, found.low, found.high)}"
        )
    lines += ["", f"{result.outcome}, cumulative incidence (95%)"]
    for row in result.incidence.dropna().to_dict("records"):
        ends = (row[f"incidence{end}"] for end in ("", "_low", "_high"))
        lines.append(f"  month {row['months']:>3}   {_span(*ends):<23}{row['censoring']}")
    lines += ["", f"evidence: {result.trained[0].sentence}", *(f"note: {note}" for note in result.notes)]
    return "\n".join([*lines, f"run {result.run_id}; compare the runs with 'taxokine ui'"])


def study_report(found: Studied) -> str:
    """Return where a study's report lies, and what each section holds or lacks."""
    from training.study.words import counted

    lines = []
    for section in found.sections:
        held = f"{counted(len(section.drawings), 'figure')}, {counted(len(section.listings), 'table')}"
        lines.append(f"{section.title:<40}{held if section.drawings or section.listings else 'no data'}")
        lines += [f"  missing  {one}" for one in section.missing]
    return "\n".join([*lines, "", f"wrote {found.page}", f"run {found.run_id}; 'taxokine ui' shows it"])


def plan_report(found: Planned, folder: Path) -> str:
    """Return a plan's answers, one sentence each, and where its curves lie."""
    return "\n".join([*(f"{one[0].upper()}{one[1:]}." for one in found.answers), "", f"wrote {folder / 'plan.svg'}"])


def _span(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    """Return a number with its interval, or the interval alone; a dash for what could not be measured."""
    ends = "–" if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"
    return ends if value is None else f"{value:{sign}.3f} ({ends})"


def promotion_report(promotion: Promotion) -> str:
    """Return a promotion's gates, what each found and needs, and why those that were not passed matter."""
    lines = [f"{promotion.name}/{promotion.version}{' (simulated data)' if promotion.simulated else ''}", ""]
    for gate in promotion.gates:
        lines += [f"{'pass' if gate.passed else 'FAIL'}  {gate.name:<20}{gate.found}", f"{'needed':>24}  {gate.needed}"]
        if not gate.passed:
            lines.append(f"{'why':>24}  {gate.why}")
    passed = sum(gate.passed for gate in promotion.gates)
    came = "promoted: it is now the champion" if promotion.granted else "refused: the alias champion stays where it was"
    return "\n".join([*lines, "", f"{passed} of {len(promotion.gates)} gates passed; {came}"])


def answer_report(reply: dict[str, Any]) -> str:
    """Return a server's reply for one candidate as text, with the eight largest contributions to each answer."""
    lines = [f"candidate {reply['patient']['id']}{' (simulated)' if reply['simulated'] else ''}"]
    for said in reply["answers"]:
        chance = "no answer" if said["probability"] is None else f"{said['probability']:.0%}"
        model = said["model"]
        lines += [
            "",
            f"{said['outcome']}: {chance}   ({said['definition']})",
            f"  model     {model['name']}/{model['version']}, {model['family']} on {' + '.join(model['blocks'])}",
            f"  evidence  {said['evidence']['sentence']}",
            f"  trust     {said['trust']['verdict']}",
            # The evidence stands above already.
            *(f"            - {why}" for why in said["trust"]["reasons"] if why != said["evidence"]["sentence"]),
        ]
        if said["explanation"] is not None:
            shown = said["explanation"]
            lines.append(f"  log-odds  {shown['base_value']:+.2f} on average, {shown['value']:+.2f} here, by")
            for one in sorted(shown["contributions"], key=lambda c: -abs(c["shap"]))[:8]:
                value = "not measured" if one["value"] is None else f"{one['value']:.4g}"
                lines.append(f"            {one['shap']:+.3f}  {one['feature']} ({one['block']}) = {value}")
    bounds = reply["benefit"]
    if bounds["low"] is None:
        lines += ["", f"benefit (response without toxicity): not bounded, {bounds['reason']}"]
    else:
        lines += ["", f"benefit (response without toxicity): between {bounds['low']:.0%} and {bounds['high']:.0%}"]
    return "\n".join([*lines, "", reply["notice"]])
