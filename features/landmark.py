"""The landmark join: one row per patient, from what had been measured by the landmark day and nothing later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.analytes import CensoredPolicy
from features.cohort import Cohort
from features.errors import InputError, UnitError
from features.outcomes import OUTCOME_IDS, definition_of
from features.tables.output import write_table
from features.tables.text import finite_numbers

BLOCKS = ("taxa", "immune", "clinical")
WINDOW = 90.0
"""Days before the landmark in which a sample or a draw still counts, unless told otherwise."""


@dataclass(frozen=True)
class Block:
    """One kind of measurement.

    Attributes
    ----------
    names : tuple of str
        The columns' names.
    values : ndarray of float64, (n_rows, n_names)
        Taxa: proportions, closed to 1. Immune: numbers in the table's unit; -inf and inf are below and above a limit
        nobody stated. Clinical: numbers and 0/1. NaN where not measured.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Tell which rows have anything measured, (n_rows,)."""
        return np.asarray((~np.isnan(self.values)).any(axis=1))

    def take(self, positions: NDArray[np.intp] | NDArray[np.bool_]) -> Block:
        """Return the rows at these positions."""
        return Block(self.names, self.values[positions])


@dataclass(frozen=True)
class FeatureTable:
    """Rows that a model can learn from.

    Attributes
    ----------
    rows : pandas.DataFrame
        `cohort`, `centre`, `patient`, `sample`, `sample_day`, `draw`, `draw_day`, `gap_days` (draw minus sample),
        `visit`, `clock`, `landmark`, and for each outcome its label (nullable boolean) and `at_risk_<outcome>`.
    taxa, immune, clinical : Block
        The measurements, aligned with `rows`.
    technical : Block
        How the stool was measured, aligned with `rows`; for audits and for a baseline, never features.
    units : dict of str to str
        The unit of each immune measurement.
    cohorts : dict of str to dict
        For each cohort its clock, index event, profiler, outcomes' sources and whether it was simulated.
    notes : tuple of str
        What a reader must know: what was left out, and where clocks or profilers differ.
    """

    rows: pd.DataFrame
    taxa: Block
    immune: Block
    clinical: Block
    technical: Block
    units: dict[str, str]
    cohorts: dict[str, dict[str, Any]]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def simulated(self) -> bool:
        """Whether any row was simulated."""
        return any(cohort["simulated"] for cohort in self.cohorts.values())

    def block(self, name: str) -> Block:
        """Return a block by its name."""
        found: Block = getattr(self, name)
        return found

    def take(self, positions: NDArray[np.intp] | NDArray[np.bool_]) -> FeatureTable:
        """Return the rows at these positions, with the blocks kept in step."""
        return replace(
            self,
            rows=self.rows.iloc[positions].reset_index(drop=True),
            taxa=self.taxa.take(positions),
            immune=self.immune.take(positions),
            clinical=self.clinical.take(positions),
            technical=self.technical.take(positions),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return rows and measurements as one table, each measurement named `block:name`."""
        blocks = [
            pd.DataFrame(self.block(name).values, columns=[f"{name}:{column}" for column in self.block(name).names])
            for name in BLOCKS
        ]
        return pd.concat([self.rows, *blocks], axis=1)

    def write(self, path: Path) -> None:
        """Write `to_frame` as Parquet, or as CSV where the path says so; whole or not at all.

        Parquet carries notes, units and cohorts as JSON in its schema under `taxokine`.

        Raises
        ------
        InputError
            The path is of another kind, or cannot be written; a file that stood there stands as it was.
        """
        write_table(self.to_frame(), path, {"notes": self.notes, "units": self.units, "cohorts": self.cohorts})


def landmark_table(
    cohort: Cohort,
    *,
    landmark: float = 0,
    window: float = WINDOW,
    sample: Literal["first", "last"] = "last",
    by: Literal["patient", "visit"] = "patient",
    by_day: float | None = None,
    censored: CensoredPolicy = "half_limit",
) -> FeatureTable:
    """Join a cohort's measurements up to a landmark day.

    Parameters
    ----------
    cohort : Cohort
        The cohort.
    landmark : float
        Last day, on the cohort's clock, whose measurements may enter. A cohort whose manifest names an earlier
        `clock.latest_sample` keeps to that. Measurements that no day dates are taken at the publication's word.
    window : float
        Days before the landmark in which a measurement still counts.
    sample : {"last", "first"}
        Which stool sample stands for a patient who has several.
    by : {"patient", "visit"}
        One row per patient, or one per visit up to the landmark. Blood is that of the same visit where visits are
        numbered, else the nearest in time: up to the landmark, or up to the visit's stool.
    by_day : float, optional
        Last day on which an adverse event counts; later than the landmark.
    censored : {"half_limit", "limit", "missing"}
        The number for a value beyond a stated limit of quantification.

    Returns
    -------
    FeatureTable
        A row for each patient (or visit) with stool; donors are never among them.

    Raises
    ------
    InputError
        The days contradict each other, or none of a patient's samples is first or last.
    """
    said = cohort.manifest
    latest = landmark if said.clock.latest_sample is None else min(landmark, said.clock.latest_sample)
    _check_days(latest, window, by_day)
    listed = cohort.samples[~cohort.samples["donor"]]
    stool = listed[listed["day"].isna() | listed["day"].between(latest - window, latest)]
    late = listed["patient"].nunique() - stool["patient"].nunique()
    stool = _stool_of_rows(cohort, stool.sort_values(["patient", "day", "visit"], kind="stable"), sample, by)
    stool = stool.reset_index(names="position")
    rows = pd.DataFrame(
        {
            "cohort": pd.Series(cohort.name, index=stool.index, dtype="str"),
            "centre": cohort.centre.reindex(stool["patient"]).to_numpy(),
            "patient": stool["patient"],
            "sample": stool["sample"],
            "sample_day": stool["day"],
            "visit": stool["visit"],
            "clock": said.clock.name,
            "landmark": float(latest),
        }
    )
    immune, units = _paired_blood(cohort, rows, latest, window, by, censored)
    for outcome in OUTCOME_IDS:
        found = cohort.labels.outcome(outcome, pd.Index(rows["patient"]), latest, by_day)
        label, at_risk = found if found is not None else (pd.NA, pd.NA)
        rows[outcome] = pd.Series(getattr(label, "array", label), index=rows.index, dtype="boolean")
        rows[f"at_risk_{outcome}"] = pd.Series(getattr(at_risk, "array", at_risk), index=rows.index, dtype="str")
    clinical, technical = (part.iloc[stool["position"]] for part in (cohort.clinical, cohort.technical))
    taxa = cohort.taxa.take(list(rows["sample"])).proportions()
    return FeatureTable(
        rows=rows,
        taxa=Block(taxa.taxa, taxa.values.astype(np.float64)),
        immune=immune,
        clinical=Block(tuple(clinical.columns), clinical.to_numpy(dtype=np.float64)),
        technical=Block(tuple(technical.columns), technical.to_numpy(dtype=np.float64)),
        units=units,
        cohorts={cohort.name: _about(cohort, latest, window)},
        notes=tuple(
            f"{cohort.name}: {note}"
            for note in (*cohort.notes, *_landmark_notes(cohort, landmark, latest, window, late))
        ),
    )


def pool_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Stack cohorts' tables.

    A taxon that a profile does not list was not found: 0. What a cohort did not measure is NaN. Different clocks and
    profilers are noted; different units of one analyte and different ranks of taxa are refused.

    Raises
    ------
    UnitError
        Two cohorts give one analyte in different units.
    InputError
        A cohort is named twice, two hold the same patients, or the cohorts' taxa are of different ranks.
    """
    if len(tables) == 1:
        return tables[0]
    units: dict[str, str] = {}
    for table in tables:
        for analyte, unit in table.units.items():
            if units.setdefault(analyte, unit) != unit:
                raise UnitError(
                    f"{analyte} is in {units[analyte]} in one cohort and in {unit} in {', '.join(table.cohorts)}; "
                    "pool cohorts of one unit, or leave the immune block out"
                )
    cohorts = {name: about for table in tables for name, about in table.cohorts.items()}
    if len(cohorts) < len(tables):
        raise InputError("a cohort is named twice; name each once")
    for name, about in cohorts.items():
        if twin := next((other for other in about["same_patients_as"] if other in cohorts), None):
            raise InputError(f"{name} holds the same patients as {twin}; use one of the two")
    if ranks := _differing(cohorts, "rank"):
        raise InputError(f"taxa of different ranks cannot be pooled: {ranks}; state one rank in the manifests")
    notes = [note for table in tables for note in table.notes]
    for what, *names in (
        ("clocks start at different events", "clock", "index_event"),
        ("profilers differ", "profiler"),
    ):
        if values := _differing(cohorts, *names):
            notes.append(f"{what}: {values}")
    return FeatureTable(
        rows=pd.concat([table.rows for table in tables], ignore_index=True),
        taxa=_stacked([t.taxa for t in tables], absent=0.0),
        immune=_stacked([t.immune for t in tables], absent=np.nan),
        clinical=_stacked([t.clinical for t in tables], absent=np.nan),
        technical=_with_others_levels(_stacked([t.technical for t in tables], absent=np.nan)),
        units=units,
        cohorts=cohorts,
        notes=tuple(notes),
    )


def _differing(cohorts: dict[str, dict[str, Any]], *names: str) -> str:
    """Return what each cohort says under these names, in words; nothing where all say the same."""
    values = {cohort: ", ".join(str(about[n] or "not stated") for n in names) for cohort, about in cohorts.items()}
    return "; ".join(f"{cohort} {value}" for cohort, value in values.items()) if len(set(values.values())) > 1 else ""


def _stacked(blocks: Sequence[Block], absent: float) -> Block:
    names = list(dict.fromkeys(name for block in blocks for name in block.names))
    position = {name: i for i, name in enumerate(names)}
    values = np.full((sum(len(b.values) for b in blocks), len(names)), absent)
    start = 0
    for block in blocks:
        stop = start + len(block.values)
        values[start:stop, [position[name] for name in block.names]] = block.values
        start = stop
    return Block(tuple(names), values)


def _with_others_levels(block: Block) -> Block:
    """Fill in that a row of one level of a category is of none of those that other cohorts have."""
    values = block.values.copy()
    for category in {name.partition("=")[0] for name in block.names if "=" in name}:
        levels = np.flatnonzero([name.startswith(f"{category}=") for name in block.names])
        known = np.flatnonzero((values[:, levels] == 1).any(axis=1))
        values[np.ix_(known, levels)] = np.nan_to_num(values[np.ix_(known, levels)])
    return Block(block.names, values)


def _check_days(latest: float, window: float, by_day: float | None) -> None:
    if not np.isfinite(latest) or not window >= 0:
        raise InputError(f"expected a landmark day and a window of at least 0 days, got {latest:g} and {window:g}")
    if by_day is not None and not by_day > latest:
        raise InputError(f"expected a day after the landmark ({latest:g}) for events to count by, got {by_day:g}")


def _stool_of_rows(
    cohort: Cohort, stool: pd.DataFrame, sample: Literal["first", "last"], by: Literal["patient", "visit"]
) -> pd.DataFrame:
    """Return the samples, sorted by time, that stand for a row each."""
    when = ["patient", "day", "visit"]
    chosen = stool if by == "visit" else stool.drop_duplicates("patient", keep=sample)
    candidates = stool.merge(chosen[when].drop_duplicates(), on=when)
    tied = candidates.duplicated(when, keep=False).to_numpy()
    if tied.any():
        first, second = candidates[tied].iloc[0], candidates[tied].iloc[1]
        raise InputError(
            f"{cohort.paths[cohort.manifest.samples.file]}, rows {first['line']} and {second['line']}: patient "
            f"{first['patient']!r} has several samples that no day or visit tells apart ({first['sample']}, "
            f"{second['sample']}), so none is {sample}; name a day or a visit in the manifest's samples, or keep one"
        )
    return chosen


def _paired_blood(
    cohort: Cohort, rows: pd.DataFrame, latest: float, window: float, by: str, censored: CensoredPolicy
) -> tuple[Block, dict[str, str]]:
    """Add `draw`, `draw_day` and `gap_days` to `rows`, and return the blood that goes with each row."""
    rows["draw"] = pd.Series(pd.NA, index=rows.index, dtype="str")
    rows["draw_day"], rows["gap_days"] = np.nan, np.nan
    said, table = cohort.manifest.immune, cohort.immune
    if said is None or table is None:
        return Block((), np.empty((len(rows), 0))), {}
    wide = table.wide(censored)
    published = wide.index.to_frame(index=False)
    draws = pd.DataFrame({"patient": published[said.patient], "day": np.nan, "visit": np.nan})
    for name, column in (("day", said.day), ("visit", said.visit)):
        if column is not None:
            draws[name] = finite_numbers(published[column])
    ordered = draws.sort_values(["day", "visit"])
    position, days, visits = (np.asarray(part) for part in (ordered.index, ordered["day"], ordered["visit"]))
    of_patient = ordered.groupby("patient").indices
    # What blood says after the landmark, or after the visit, is not known on that day.
    until = np.full(len(rows), latest) if by == "patient" else np.fmin(rows["sample_day"].to_numpy(), latest)
    chosen = np.full(len(rows), -1)
    for i, (patient, day, visit) in enumerate(zip(rows["patient"], rows["sample_day"], rows["visit"], strict=True)):
        drawn = of_patient.get(patient, [])
        nearest = _nearest_draw(days[drawn], visits[drawn], day, visit, until[i] - window, until[i])
        if nearest is not None:
            chosen[i] = position[drawn][nearest]
    paired = chosen >= 0
    values = np.full((len(rows), wide.shape[1]), np.nan)
    values[paired] = wide.to_numpy()[chosen[paired]]
    key = [str(part[0]) if len(part) == 1 else "/".join(map(str, part)) for part in map(_parts, wide.index)]
    rows.loc[paired, "draw"] = [key[i] for i in chosen[paired]]
    rows.loc[paired, "draw_day"] = draws["day"].to_numpy()[chosen[paired]]
    rows["gap_days"] = rows["draw_day"] - rows["sample_day"]
    suffix = " mRNA" if table.kind == "expression" else ""
    names = tuple(f"{name}{suffix}" for name in wide.columns)
    return Block(names, values), dict.fromkeys(names, table.unit)


def _nearest_draw(
    days: NDArray[np.float64], visits: NDArray[np.float64], day: float, visit: float, since: float, until: float
) -> int | None:
    """Return which of a patient's draws, in the order of time, goes with a stool sample; None where none does."""
    fits = np.isnan(days) | ((days >= since) & (days <= until))
    if not np.isnan(visit):
        fits &= np.isnan(visits) | (visits == visit)
    candidates = np.flatnonzero(fits)
    if not candidates.size:
        return None
    distance = np.abs(days[candidates] - day)
    # Without days on both sides, the latest draw is the one that stands for the patient.
    return int(candidates[-1 if np.isnan(distance).all() else np.nanargmin(distance)])


def _parts(key: object) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else (key,)


def _landmark_notes(cohort: Cohort, landmark: float, latest: float, window: float, late: int) -> list[str]:
    notes, said = [], cohort.manifest
    if latest < landmark:
        notes.append(
            f"samples up to {said.clock.name} {latest:g} only, not {landmark:g}: "
            f"{said.clock.latest_sample_reason or 'its manifest'}"
        )
    if late:
        notes.append(f"{late} patients have no stool from {said.clock.name} {latest - window:g} to {latest:g}")
    if said.samples.day is None:
        notes.append(f"stool is not dated; taken as the publication's word: {said.samples.baseline or 'by visit'}")
    if said.immune is not None and said.immune.day is None:
        notes.append(f"blood is not dated; taken as the publication's word: {said.immune.baseline or 'by visit'}")
    if not cohort.donors.empty:
        notes.append(f"{len(cohort.donors)} donor samples are no patients")
    return notes


def _about(cohort: Cohort, landmark: float, window: float) -> dict[str, Any]:
    said = cohort.manifest
    return {
        "title": said.title,
        "simulated": said.simulated,
        "same_patients_as": list(said.same_patients_as),
        "clock": said.clock.name,
        "index_event": said.clock.index,
        "landmark": landmark,
        "window": window,
        "dated": said.samples.day is not None,
        "profiler": cohort.taxa.profiler,
        "rank": said.taxa.rank,
        "outcomes": {name: definition_of(name) for name in cohort.labels.defined},
        "citation": said.source.citation,
        "licence": said.source.licence,
    }
