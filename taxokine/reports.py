"""What the command line prints, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.outcomes import OUTCOME_IDS, meaning

if TYPE_CHECKING:
    from features.cohort import Cohort
    from features.landmark import FeatureTable
    from training.experiment import Result


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
    lines = [f"{'family':<15}{'blocks':<24}{'patients':>9}{'events':>8}   left-out AUROC (95% interval)"]
    for one in result.trained:
        content = one.evidence.content
        lines.append(
            f"{one.family:<15}{'+'.join(one.blocks):<24}{content['patients']:>9}{content['events']:>8}   "
            f"{one.evidence.auroc.value:.3f} ({one.evidence.auroc.low:.3f} to {one.evidence.auroc.high:.3f})"
        )
    best = result.trained[0]
    lines += [
        "",
        f"{result.outcome}: {best.family} on {'+'.join(best.blocks)} is registered as candidate, version "
        f"{result.aliases['candidate']}",
        f"evidence: {best.evidence.content['sentence']}",
        f"chosen from {best.evidence.content['chosen_from']} models by that very figure, which flatters it",
        *(f"note: {note}" for note in result.notes),
        f"run {result.run_id}; compare the runs with 'taxokine ui'",
    ]
    return "\n".join(lines)


def answer_report(reply: dict[str, Any], top: int = 8) -> str:
    """Return a server's reply for one candidate as text, with the largest contributions to each answer."""
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
            for one in sorted(shown["contributions"], key=lambda c: -abs(c["shap"]))[:top]:
                value = "not measured" if one["value"] is None else f"{one['value']:.4g}"
                lines.append(f"            {one['shap']:+.3f}  {one['feature']} ({one['block']}) = {value}")
    bounds = reply["benefit"]
    if bounds["low"] is None:
        lines += ["", f"benefit (response without toxicity): not bounded, {bounds['reason']}"]
    else:
        lines += ["", f"benefit (response without toxicity): between {bounds['low']:.0%} and {bounds['high']:.0%}"]
    return "\n".join([*lines, "", reply["notice"]])
