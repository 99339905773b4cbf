"""A stool profile: which sample, rank and unit, and how much of it the served models know."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from features.draft import FileKind, look_like_taxa, table_at_finest_rank
from features.errors import FileError
from features.tables.numbers import read_number_table
from features.tables.text import read_text_table
from features.taxa import TaxaTable
from features.taxon_names import RANKS, UNEXPLAINED, canonical_name
from models.applicability import CARE_TOTAL
from models.patient_input import PROFILE_TOTAL, TaxaUnit
from serving.upload.findings import WHAT, Known, Refused, Told
from serving.upload.intake import StoredFile
from serving.upload.sheets import kind_in

Amounts = dict[str, float]

_FORMATS = {"metaphlan": "MetaPhlAn profile", "biom": "BIOM table", "qza": "QIIME 2 feature table"}
_RANK = re.compile(r"(?:^|[|;]\s*)([dkpcofgst])__[^|;]*$")


def profile(told: Told, file: StoredFile, taxonomy: StoredFile | None) -> dict[str, Any] | None:
    """Return the `taxa` of a request, or None where a fault that was told forbids it.

    Parameters
    ----------
    told : Told
    file : StoredFile
        What was uploaded as 'taxa'.
    taxonomy : StoredFile, optional
        What was uploaded as 'taxonomy'.

    Raises
    ------
    Refused, FileError
        The file cannot be read any further.
    """
    kind = kind_in("taxa", file, told.known)
    kind = _side_of_taxa(file, told.known) if kind == "sheet" else kind
    format = kind.partition("/")[0]
    if taxonomy and format not in ("biom", "qza"):
        advice = "It is left out: this table names its taxa itself."
        told.warn("needless_taxonomy", "a taxonomy", "none for such a table", advice, file=taxonomy.name)
        taxonomy = None
    try:
        rank, table = table_at_finest_rank(file.path, kind, taxonomy.path if taxonomy else None)
    except FileError:
        _refuse_stacked(file, kind)
        raise
    several, told.samples = len(table.samples), table.samples
    told.say("file", _FORMATS.get(format, "table of taxa"), f"samples: {several}", file.name)
    sample = told.form.sample or table.samples[0]
    if sample not in table.samples or (told.form.sample is None and several > 1):
        came = f"{several} samples" if told.form.sample is None else f"no sample {sample!r} among {several}"
        told.stop("which_sample", came, "the one to predict from", "Choose the sample.", file=file.name)
        return None
    told.say("sample", sample, "chosen" if several > 1 else "the only one", file.name)
    values = _amounts(table, sample)
    unit = _unit(told, file, table.unit, values, format)
    if table.lineages or format not in ("biom", "qza"):
        told.say("rank", rank, _ranks_of(file), file.name)
    values = _without_unexplained(told, file, sample, values, unit) if format == "metaphlan" else values
    total = math.fsum(values.values())
    told.say("taxa", f"{len(values)} found", f"they sum to {total:.6g}", file.name)
    if unit in PROFILE_TOTAL and total < CARE_TOTAL * PROFILE_TOTAL[unit]:
        came = f"a profile that sums to {total:.4g}, {total / PROFILE_TOTAL[unit]:.0%} of its whole"
        advice = "Part of it may be missing: upload the profile as its program wrote it."
        told.warn("half_empty", came, f"a sum of {PROFILE_TOTAL[unit]:g}", advice, file=file.name)
    known = _say_known(told, file, {name: value / total for name, value in values.items()})
    if format in ("biom", "qza") and not table.lineages and not known:
        came = f"features without names, such as {next(iter(values))!r}"
        advice = "Add the taxonomy that was made with the table (.qza or TSV)."
        told.stop("ids_without_names", came, "taxa", advice, file=file.name)
    said: dict[str, Any] = {"unit": unit, "values": values, "profiler": _profiler(told, file, table.profiler)}
    said |= {"day": told.form.day, "clock": told.form.clock}
    return {key: value for key, value in said.items() if value is not None}


def _side_of_taxa(file: StoredFile, known: Known) -> FileKind:
    """Return the kind of a table that does not look like a profile at once: some of its labels may be known taxa."""
    labels, header = file.labels[1:], list(map(str, read_text_table(file.path).frame))[1:]
    names = known.names("taxa")
    rows, columns = (sum(canonical_name(label) in names for label in side if label) for side in (labels, header))
    if rows != columns:
        return "table/columns" if rows > columns else "table/rows"
    if look_like_taxa(labels) != look_like_taxa(header):
        return "table/columns" if look_like_taxa(labels) else "table/rows"
    came = f"rows such as {list(labels[:2])} and columns such as {header[:2]}"
    advice = "Name taxa along one side, samples along the other."
    raise Refused("not_a_profile", came, WHAT["taxa"], advice, file=file.name)


def _refuse_stacked(file: StoredFile, kind: FileKind) -> None:
    """Raise the fault of a table that could not be read because it stacks ranks, without prefixes that tell them."""
    if not kind.startswith("table"):
        return
    try:
        grid = read_number_table(file.path)
    except FileError:
        return
    names, axis = (grid.columns.labels, 1) if kind == "table/rows" else (grid.rows.labels, 0)
    if len(set(map(canonical_name, names))) == len(names) and (grid.values % 1).any():
        _check_stacked(file, float(grid.values.sum(axis=axis, dtype=np.float64).max()))


def _check_stacked(file: StoredFile, total: float) -> None:
    # A sum of 1.9 is not taken for a profile in percent of which hardly anything is left.
    for whole in PROFILE_TOTAL.values():
        if 1.02 < total / whole < len(RANKS) + 0.5:
            came = f"abundances that sum to {total:.6g}, as several ranks one below the other do"
            expected = f"one rank, summing to {whole:g}, or names with prefixes such as 's__'"
            raise Refused("ranks_stacked", came, expected, "Keep the species alone.", file=file.name)


def _amounts(table: TaxaTable, sample: str) -> Amounts:
    """Return what was found of each taxon, as the file writes it."""
    row = table.take([sample]).values[0]
    return {table.taxa[at]: float(str(row[at])) for at in np.flatnonzero(row).tolist()}


def _unit(told: Told, file: StoredFile, found: TaxaUnit, values: Amounts, format: str) -> TaxaUnit:
    """Return the unit that the numbers tell, or the form where they leave it open."""
    stated, total = told.form.taxa_unit, math.fsum(values.values())
    if not total:
        raise Refused("empty", "a sample in which no taxon was found", "abundances", "Choose another.", file=file.name)
    whole = all(value.is_integer() for value in values.values())
    if found == "percent" and not whole:
        _check_stacked(file, total)
    # Few whole numbers may be the counts of a shallow sample as well as a part of a hundred.
    if found == "percent" and whole and total < 98:
        if stated is None:
            came, advice = f"whole numbers that sum to {total:g}", "State whether they are counts or percent."
            raise Refused("unit_unclear", came, "counts, or percent that sum to 100", advice, file=file.name)
        found = "counts" if stated == "counts" else found
    if stated not in (None, found):
        came = f"numbers that read as {found}, summing to {total:.6g}"
        expected = f"{stated}, as stated" + (
            f", summing to {PROFILE_TOTAL[stated]:g}" if stated in PROFILE_TOTAL else ""
        )
        advice = f"State {found}, or correct the file."
        raise Refused("unit_contradicted", came, expected, advice, file=file.name)
    if format == "metaphlan" and found != "percent":
        came, advice = f"{found}, summing to {total:.6g}", f"Taken as {found}; check whether the file was rescaled."
        told.warn("unit_unusual", came, "percent, as MetaPhlAn writes", advice, file=file.name)
    told.say("unit", found, f"the numbers sum to {total:.6g}" + (", and as stated" if stated else ""), file.name)
    return found


def _ranks_of(file: StoredFile) -> str:
    marks = {found[1] for label in file.labels if (found := _RANK.search(label))}
    return f"of {len(marks)} ranks in the file" if len(marks) > 1 else "the finest at which most taxa have a name"


def _without_unexplained(told: Told, file: StoredFile, sample: str, values: Amounts, unit: TaxaUnit) -> Amounts:
    """Return amounts scaled to their whole where reads that no clade explains have a row, as training profiles are."""
    if unit not in PROFILE_TOTAL or UNEXPLAINED.isdisjoint(file.labels):
        return values
    grid = read_number_table(file.path, lambda label: label in UNEXPLAINED)
    unexplained = float(grid.values[:, grid.columns.labels.index(sample)].sum())
    total, whole = math.fsum(values.values()), PROFILE_TOTAL[unit]
    if not unexplained or abs(total + unexplained - whole) > 0.02 * whole:
        return values
    note = "left out, and the taxa scaled to the whole, as in training"
    told.say("taxa", f"{unexplained / whole:.0%} unclassified", note, file.name)
    return {name: value * whole / total for name, value in values.items()}


def _profiler(told: Told, file: StoredFile, named: str | None) -> str | None:
    stated = told.form.profiler
    if named and stated and not named.startswith(stated):
        advice = "The file is believed; correct the form."
        told.warn(
            "profiler_contradicted", f"{stated!r} in the form", f"{named!r}, as in the file", advice, file=file.name
        )
    if profiler := named or stated:
        told.say("profiler", profiler, "named in the file" if named else "as stated", file.name)
    return named or stated


def _say_known(told: Told, file: StoredFile, shares: Mapping[str, float]) -> bool:
    """Say how much of a profile each model knows; return whether any knows any of it."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for served in told.known.served:
        if names := served.model.encoder.names_.get("taxa"):
            alike.setdefault(names, []).append(f"{served.name} {served.version}")
    for names, models in alike.items():
        unknown = sorted(shares.keys() - set(names), key=lambda name: -shares[name])
        recognised = 1 - math.fsum(shares[name] for name in unknown)
        value = f"{recognised:.0%} of the abundance, {len(shares) - len(unknown)} of {len(shares)} names"
        largest = ", ".join(f"{name} ({shares[name]:.1%})" for name in unknown[:3])
        told.say("known", value, f"largest unknown: {largest}" if unknown else "", file.name, models)
    return not shares.keys().isdisjoint(told.known.names("taxa"))
