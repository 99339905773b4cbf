"""Checks of immune measurements: limits written as values, plates, and warnings of the assay's quality control."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from features.audit.findings import Finding, new_finding
from features.cohort import Cohort

MIN_REPEATS = 3
"""Times that an analyte's largest or smallest value occurs, from which it may be a limit."""
MIN_SHARE = 0.05
"""Share of an analyte's values that such a value makes up at least."""


def limits_as_values(cohort: Cohort) -> Iterator[Finding]:
    """Find analytes whose largest or smallest number recurs as no other does: a limit that is written as a value."""
    if cohort.immune is None:
        return
    rows = cohort.immune.rows
    measured_rows = rows[(rows["censored"] == "") & rows["value"].notna() & (rows["value"] != 0)]
    for code, end in (("ceiling-as-value", "largest"), ("floor-as-value", "smallest")):
        limits = {}
        for analyte, values in measured_rows.groupby("analyte", sort=False)["value"]:
            extreme = values.max() if end == "largest" else values.min()
            if _recurs(values, extreme):
                limits[str(analyte)] = f"{analyte} {extreme:g} in {int((values == extreme).sum())} of {len(values)}"
        if limits:
            examples = "; ".join(list(limits.values())[:5]) + (
                f" and {len(limits) - 5} more" if len(limits) > 5 else ""
            )
            yield new_finding(code, cohort.name, f"the {end} value recurs: {examples} values", limits.values())


def _recurs(values: pd.Series[float], extreme: float) -> bool:
    """Tell whether an extreme value occurs often, and three times as often as any value between the extremes."""
    counts = values.value_counts()
    n_repeats = int(counts[extreme])
    next_most_frequent = int(counts.drop([values.min(), values.max()]).max()) if len(counts) > 2 else 0
    return (
        n_repeats >= max(MIN_REPEATS, MIN_SHARE * len(values))
        and next_most_frequent > 0
        and n_repeats >= 3 * next_most_frequent
    )


def plates_apart(cohort: Cohort) -> Iterator[Finding]:
    """Find several plates of a relative scale that no bridging samples brought to one level."""
    part = cohort.manifest.immune
    if cohort.immune is None or part is None or part.plates is None or part.plates.reference is not None:
        return
    rows = cohort.immune.rows
    plates = rows.drop_duplicates([*cohort.immune.key, "plate"])["plate"].value_counts()
    if len(plates) > 1:
        medians = rows.groupby(["analyte", "plate"])["value"].median().unstack()
        largest = float(np.nanmax((medians.max(axis=1) - medians.min(axis=1)).to_numpy()))
        counts = ", ".join(f"{plate} with {count} samples" for plate, count in plates.items())
        yield new_finding(
            "plates-apart",
            cohort.name,
            f"{len(plates)} plates ({counts}); medians of an analyte differ by up to {largest:.2g} "
            f"{cohort.immune.unit}",
        )


def quality_warnings(cohort: Cohort) -> Iterator[Finding]:
    """Report measurements that the assay's quality control warns of, and those that its software extrapolated."""
    if cohort.immune is None:
        return
    rows = cohort.immune.rows
    counts = rows.loc[rows["warning"] != "", "warning"].value_counts()
    if len(counts):
        warnings = ", ".join(f"{warning} in {count}" for warning, count in counts.items())
        draws = rows.loc[rows["warning"] != "", list(cohort.immune.key)].drop_duplicates()
        yield new_finding(
            "assay-warnings", cohort.name, f"{warnings} of {len(rows)} values", map("/".join, draws.to_numpy().tolist())
        )
    if n_extrapolated := int(rows["extrapolated"].sum()):
        yield new_finding(
            "extrapolated-values", cohort.name, f"{n_extrapolated} of {len(rows)} values lie beyond the standards"
        )
