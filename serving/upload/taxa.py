"""The stool profile of an upload: sample, rank and unit, and how much of it the served models recognise."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from pydantic import JsonValue

from features.draft import FileKind, needs_taxonomy, table_at_finest_rank
from features.errors import FileError
from features.tables.numbers import read_number_table
from features.tables.text import read_text_table
from features.taxa import TaxaTable
from features.taxon_names import RANKS, canonical_name, look_like_taxa, stated_rank
from features.units import TaxaUnit
from models.applicability import CARE_TOTAL
from models.patient_input import PROFILE_TOTAL
from serving.upload.form import DESCRIPTIONS
from serving.upload.intake import StoredFile
from serving.upload.report import Report, UnreadableFile
from serving.upload.sheets import check_file_kind
from serving.upload.training_columns import TrainingColumns

Abundances = dict[str, float]

_FORMATS = {
    "metaphlan": "MetaPhlAn profile",
    "kraken": "Kraken report",
    "bracken": "Bracken report",
    "biom": "BIOM table",
    "qza": "QIIME 2 feature table",
}


def read_profile(report: Report, file: StoredFile, taxonomy: StoredFile | None) -> dict[str, JsonValue] | None:
    """Return the `taxa` of a request, or None where a problem in the report prevents it.

    Parameters
    ----------
    report : Report
    file : StoredFile
        The stool profile.
    taxonomy : StoredFile, optional
        The taxonomy of a feature table.

    Raises
    ------
    UnreadableFile, FileError
        The file cannot be read.
    """
    kind = check_file_kind("taxa", report, file)
    kind = _table_orientation(file, report.training) if kind == "sheet" else kind
    format = kind.partition("/")[0]
    if taxonomy and not needs_taxonomy(file.path, kind, taxonomy.path):
        advice = "Ignored: this table names its taxa itself."
        report.warn("needless_taxonomy", "a taxonomy", "none for such a table", advice, file=taxonomy.name)
        taxonomy = None
    try:
        rank, table = table_at_finest_rank(file.path, kind, taxonomy.path if taxonomy else None)
    except FileError:
        _check_unprefixed_ranks(file, kind)
        raise
    report.samples = table.samples
    # Kraken's mpa-style reports have MetaPhlAn's clades, with counts.
    has_clade_counts = format == "metaphlan" and table.unit == "counts" and table.profiler is None
    name = "table of clades" if has_clade_counts else _FORMATS.get(format, "table of taxa")
    report.interpret("file", name, f"samples: {len(table.samples)}", file.name)
    sample = _choose_sample(report, file, table)
    if sample is None:
        return None
    abundances = _abundances(table, sample)
    unit = _decide_unit(report, file, table.unit, abundances, "table" if has_clade_counts else format)
    if rank != "feature":
        report.interpret("rank", rank, _rank_note(file), file.name)
    for note in table.notes:
        report.interpret("file", "read in part", note, file.name)
    abundances = _rescale_without_left_out(report, file, table, sample, abundances, unit)
    total = math.fsum(abundances.values())
    report.interpret("taxa", f"{len(abundances)} detected", f"they sum to {total:.6g}", file.name)
    _check_total(report, file, unit, total)
    recognised = _report_recognised(report, file, {name: value / total for name, value in abundances.items()})
    has_ids = rank == "feature" or (format in ("biom", "qza") and not table.lineages)
    if not recognised and has_ids:
        _stop_for_taxonomy(report, file, next(iter(abundances)))
    elif not recognised and report.training.names("taxa"):
        _stop_for_unknown_taxa(report, file, abundances)
    profile: dict[str, JsonValue] = {
        "unit": unit,
        "values": dict(abundances),
        "profiler": _choose_profiler(report, file, table.profiler),
        "day": report.form.day,
        "clock": report.form.clock,
    }
    return {key: value for key, value in profile.items() if value is not None}


def _stop_for_taxonomy(report: Report, file: StoredFile, feature: str) -> None:
    advice = "Add the taxonomy of the table (.qza or TSV)."
    report.stop("ids_without_names", f"features without names, such as {feature!r}", "names", advice, file=file.name)


def _stop_for_unknown_taxa(report: Report, file: StoredFile, abundances: Abundances) -> None:
    profilers = report.training.profilers
    examples = ", ".join(sorted(abundances, key=lambda taxon: -abundances[taxon])[:3])
    requirement = f"taxa as named by {' or '.join(sorted(profilers)) or 'the profiler of the training cohorts'}"
    advice = "Profile the reads with that program and database, or correct the names."
    report.stop("unknown_taxa", f"{len(abundances)} taxa, such as {examples}", requirement, advice, file=file.name)


def _choose_sample(report: Report, file: StoredFile, table: TaxaTable) -> str | None:
    n_samples, choice = len(table.samples), report.form.sample
    sample = choice or table.samples[0]
    if sample not in table.samples or (choice is None and n_samples > 1):
        observed = f"{n_samples} samples" if choice is None else f"no sample {sample!r} among {n_samples}"
        report.stop("which_sample", observed, "the sample to predict from", "Choose the sample.", file=file.name)
        return None
    report.interpret("sample", sample, "as chosen" if n_samples > 1 else "the only sample", file.name)
    return sample


def _table_orientation(file: StoredFile, training: TrainingColumns) -> FileKind:
    """Return the kind of a table whose labels do not look like taxa: its taxa are on the side that models recognise."""
    labels, header = file.labels[1:], list(map(str, read_text_table(file.path).frame))[1:]
    names = training.names("taxa")
    rows, columns = (sum(canonical_name(label) in names for label in side if label) for side in (labels, header))
    if rows != columns:
        return "table/columns" if rows > columns else "table/rows"
    if look_like_taxa(labels) != look_like_taxa(header):
        return "table/columns" if look_like_taxa(labels) else "table/rows"
    observed = f"rows such as {list(labels[:2])} and columns such as {header[:2]}"
    advice = "Name taxa in the first column and samples in the header, or the other way round."
    raise UnreadableFile("not_a_profile", observed, DESCRIPTIONS["taxa"], advice, file=file.name)


def _check_unprefixed_ranks(file: StoredFile, kind: FileKind) -> None:
    """Raise the more helpful error if a table cannot be read because it has several ranks without prefixes."""
    if not kind.startswith("table"):
        return
    try:
        grid = read_number_table(file.path)
    except FileError:
        return
    names, axis = (grid.columns.labels, 1) if kind == "table/rows" else (grid.rows.labels, 0)
    if len(set(map(canonical_name, names))) == len(names) and (grid.values % 1).any():
        _check_single_rank(file, float(grid.values.sum(axis=axis, dtype=np.float64).max()))


def _check_single_rank(file: StoredFile, total: float) -> None:
    # A sum of 1.9 means proportions of two ranks, not a profile in percent of which hardly anything is left.
    for full_total in PROFILE_TOTAL.values():
        if 1.02 < total / full_total < len(RANKS) + 0.5:
            observed = f"abundances that sum to {total:.6g}, as those of several ranks in one table do"
            requirement = f"one rank, with a sum of {full_total:g}, or names with prefixes such as 's__'"
            raise UnreadableFile("ranks_stacked", observed, requirement, "Keep the species only.", file=file.name)


def _abundances(table: TaxaTable, sample: str) -> Abundances:
    """Return the abundance of each detected taxon, as written in the file."""
    row = table.take([sample]).values[0]
    return {table.taxa[index]: float(str(row[index])) for index in np.flatnonzero(row).tolist()}


def _decide_unit(report: Report, file: StoredFile, unit: TaxaUnit, abundances: Abundances, format: str) -> TaxaUnit:
    """Return the unit of the numbers, or that of the form where the numbers do not decide it."""
    form_unit, total = report.form.taxa_unit, math.fsum(abundances.values())
    if not total:
        observed, advice = "a sample in which no taxon was detected", "Choose another."
        raise UnreadableFile("empty", observed, "abundances", advice, file=file.name)
    are_integers = all(value.is_integer() for value in abundances.values())
    if unit == "percent" and not are_integers:
        _check_single_rank(file, total)
    # A few whole numbers may be counts of a shallow sample, or percentages.
    if unit == "percent" and are_integers and total < 98:
        if form_unit is None:
            observed, advice = f"whole numbers that sum to {total:g}", "State whether they are counts or percent."
            raise UnreadableFile("unit_unclear", observed, "counts, or percent that sum to 100", advice, file=file.name)
        unit = "counts" if form_unit == "counts" else unit
    if form_unit not in (None, unit):
        observed = f"numbers that read as {unit}, with a sum of {total:.6g}"
        full_total = f", with a sum of {PROFILE_TOTAL[form_unit]:g}" if form_unit in PROFILE_TOTAL else ""
        requirement, advice = f"{form_unit}, as stated{full_total}", f"State {unit}, or correct the file."
        raise UnreadableFile("unit_contradicted", observed, requirement, advice, file=file.name)
    if format == "metaphlan" and unit != "percent":
        observed, advice = f"{unit}, with a sum of {total:.6g}", f"Read as {unit}; check whether the file was rescaled."
        report.warn("unit_unusual", observed, "percent, as MetaPhlAn writes", advice, file=file.name)
    note = f"the numbers sum to {total:.6g}" + (", as stated" if form_unit else "")
    report.interpret("unit", unit, note, file.name)
    return unit


def _check_total(report: Report, file: StoredFile, unit: TaxaUnit, total: float) -> None:
    full_total = PROFILE_TOTAL.get(unit)
    if full_total and total < CARE_TOTAL * full_total:
        observed = f"a profile with a sum of {total:.4g}, {total / full_total:.0%} of {full_total:g}"
        advice = "Part of it may be missing: upload the profile as the profiler wrote it."
        report.warn("half_empty", observed, f"a sum of {full_total:g}", advice, file=file.name)


def _rank_note(file: StoredFile) -> str:
    ranks = {stated_rank(label) for label in file.labels} - {None}
    if len(ranks) > 1:
        return f"of {len(ranks)} ranks in the file"
    return "the finest rank at which most taxa have a name"


def _rescale_without_left_out(
    report: Report, file: StoredFile, table: TaxaTable, sample: str, abundances: Abundances, unit: TaxaUnit
) -> Abundances:
    """Return abundances scaled to their total with the reads that are of no microbe, as in training."""
    position = table.samples.index(sample)
    shares = {kind: float(of_samples[position]) for kind, of_samples in table.left_out.items() if of_samples[position]}
    for kind, share in shares.items():
        note = "ignored, and the taxa scaled to their total, as in training"
        report.interpret("taxa", f"{share:.0%} {kind}", note, file.name)
    microbial_share = 1 - math.fsum(shares.values())
    if unit not in PROFILE_TOTAL or not shares or microbial_share <= 0:
        return abundances
    return {name: value / microbial_share for name, value in abundances.items()}


def _choose_profiler(report: Report, file: StoredFile, file_profiler: str | None) -> str | None:
    form_profiler = report.form.profiler
    if file_profiler and form_profiler and not file_profiler.startswith(form_profiler):
        observed, requirement = f"{form_profiler!r} in the form", f"{file_profiler!r}, as in the file"
        advice = "The file takes precedence; correct the form."
        report.warn("profiler_contradicted", observed, requirement, advice, file=file.name)
    if profiler := file_profiler or form_profiler:
        report.interpret("profiler", profiler, "as in the file" if file_profiler else "as stated", file.name)
    return file_profiler or form_profiler


def _report_recognised(report: Report, file: StoredFile, proportions: Mapping[str, float]) -> bool:
    """Report the share of the profile that each model recognises; return whether any model recognises a taxon."""
    for names, models in report.training.models_by_taxa.items():
        unknown = sorted(proportions.keys() - set(names), key=lambda name: -proportions[name])
        recognised = 1 - math.fsum(proportions[name] for name in unknown)
        n_recognised = len(proportions) - len(unknown)
        value = f"{recognised:.0%} of the abundance, {n_recognised} of {len(proportions)} names"
        largest = ", ".join(f"{name} ({proportions[name]:.1%})" for name in unknown[:3])
        note = f"most abundant unknown: {largest}" if unknown else ""
        report.interpret("recognised", value, note, file.name, models)
    return not proportions.keys().isdisjoint(report.training.names("taxa"))
