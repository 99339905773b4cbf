"""The feature table: one row per patient or visit, its measurements in blocks, and what is known of its cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from features.arrays import Mask, Matrix, Positions
from features.columns import BLOCKS, Column
from features.tables.output import write_table


@dataclass(frozen=True)
class Block:
    """The measurements of one kind.

    Attributes
    ----------
    names : tuple of str
        The names of the columns within the block (`features.columns.Column.name`).
    values : ndarray of float64, (n_rows, n_names)
        Taxa: proportions, closed to 1. Immune: numbers in the table's unit; -inf and inf stand for values below and
        above a limit that is not reported. Clinical: numbers and 0/1. NaN where not measured.
    """

    names: tuple[str, ...]
    values: Matrix

    @property
    def measured_rows(self) -> Mask:
        """Mask of the rows with at least one measurement, (n_rows,)."""
        return np.asarray((~np.isnan(self.values)).any(axis=1))

    def take(self, positions: Positions | Mask) -> Block:
        """Return the rows at these positions."""
        return Block(self.names, self.values[positions])


@dataclass(frozen=True)
class CensoredLimits:
    """The reported limits beyond which immune measurements lie; NaN where a value is not beyond one.

    Attributes
    ----------
    lower, upper : ndarray of float64, (n_rows, n_names)
        Limits of quantification, in the unit of each measurement, by the side on which the value lies.
    """

    lower: Matrix
    upper: Matrix

    def take(self, positions: Positions | Mask) -> CensoredLimits:
        """Return the rows at these positions."""
        return CensoredLimits(self.lower[positions], self.upper[positions])


@dataclass(frozen=True)
class CohortContext:
    """What a reader of a feature table must know of a cohort in it.

    Attributes
    ----------
    title : str
    simulated : bool
    same_patients_as : tuple of str
        Cohorts that hold the same patients and are never pooled with this one.
    clock, index_event : str
        The clock of every day in the table, and the event on its day 0.
    landmark, window : float
        The last day whose measurements entered, on the cohort's clock, and for how many days before it they count.
    dated : bool
        Whether the stool samples have days.
    profiler : str or None
        The program and database that profiled the stool; None where it is not reported.
    rank : str
        Rank of the taxa.
    outcomes : mapping of str to str
        The definition of each outcome that the cohort reports.
    citation, licence : str
    """

    title: str
    simulated: bool
    same_patients_as: tuple[str, ...]
    clock: str
    index_event: str
    landmark: float
    window: float
    dated: bool
    profiler: str | None
    rank: str
    outcomes: Mapping[str, str]
    citation: str
    licence: str


@dataclass(frozen=True)
class FeatureTable:
    """Rows that a model can be trained on.

    Attributes
    ----------
    rows : pandas.DataFrame
        `cohort`, `centre`, `patient`, `sample`, `sample_day`, `draw`, `draw_day`, `gap_days` (blood draw minus stool
        sample), `visit`, `clock`, `landmark`, `tumour_type`, `treatment_line` and `drug_class` ("" where not reported),
        and for each outcome its label (nullable boolean) and `at_risk_<outcome>`, "yes", "no" or
        "unknown" as in `features.labels.LabelAndRisk`, missing where the cohort does not report the outcome.
    taxa, immune, clinical : Block
        The measurements, aligned with `rows`.
    technical : Block
        How each stool sample was measured, aligned with `rows`; for audits, and for the model that predicts from
        them alone. A model to be served has none of them.
    units : dict of str to str
        The unit of each immune measurement.
    cohorts : dict of str to CohortContext
        The context of each cohort, by name.
    donor : Block or None
        How near the stool is to the donor's (`features.donor_features`), aligned with `rows`; None where no cohort
        has donors.
    over_time : Block or None
        How immune markers move from the baseline to the landmark (`features.over_time`), aligned with `rows`; None
        where no cohort has dated blood, and at landmarks on day 0 and before.
    notes : tuple of str
        What a reader must know: what was excluded, and where clocks or profilers differ.
    limits : CensoredLimits or None
        The limits beyond which values of `immune` lie, so that pages print "<3.2" and not the number that a
        model reads in its place; None where they are not kept.
    """

    rows: pd.DataFrame
    taxa: Block
    immune: Block
    clinical: Block
    technical: Block
    units: dict[str, str]
    cohorts: dict[str, CohortContext]
    notes: tuple[str, ...]
    limits: CensoredLimits | None = None
    donor: Block | None = None
    over_time: Block | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def simulated(self) -> bool:
        """Whether any cohort was simulated."""
        return any(cohort.simulated for cohort in self.cohorts.values())

    def block(self, name: str) -> Block:
        """Return a block by its name."""
        block: Block | None = getattr(self, name)
        return Block((), np.empty((len(self), 0))) if block is None else block

    def take(self, positions: Positions | Mask) -> FeatureTable:
        """Return the rows at these positions, each with its measurements."""
        return replace(
            self,
            rows=self.rows.iloc[positions].reset_index(drop=True),
            taxa=self.taxa.take(positions),
            immune=self.immune.take(positions),
            clinical=self.clinical.take(positions),
            technical=self.technical.take(positions),
            limits=None if self.limits is None else self.limits.take(positions),
            donor=None if self.donor is None else self.donor.take(positions),
            over_time=None if self.over_time is None else self.over_time.take(positions),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return rows and measurements as one table; a measurement's column is named `block:name`."""
        blocks = [
            pd.DataFrame(block.values, columns=[Column.from_name(name, column).text for column in block.names])
            for name, block in ((name, self.block(name)) for name in BLOCKS)
        ]
        return pd.concat([self.rows, *blocks], axis=1)

    def write(self, path: Path) -> None:
        """Write `to_frame` as Parquet, or as CSV where the path ends so.

        Parquet carries notes, units and cohorts as JSON in its schema, under `taxokine`.

        Raises
        ------
        InputError
            The path ends otherwise, or cannot be written; a file that was there before is not changed.
        """
        cohorts = {name: asdict(context) for name, context in self.cohorts.items()}
        write_table(self.to_frame(), path, {"notes": self.notes, "units": self.units, "cohorts": cohorts})
