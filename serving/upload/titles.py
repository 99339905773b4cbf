"""What is wrong with an upload, in a line for each kind of problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ProblemKind = Literal[
    "abstains", "analyte_twice", "empty", "few_taxa", "half_empty", "ids_without_names", "needless_taxonomy",
    "no_analyte", "no_profiler", "no_unit", "not_a_profile", "not_a_table", "other_naming", "other_profiler",
    "other_unit", "out_of_range", "profiler_contradicted", "ranks_stacked", "request", "several_draws",
    "several_patients", "swapped_unit", "too_large", "unit_contradicted", "unit_unclear", "unit_unusual",
    "unknown_analyte", "unknown_column", "unknown_taxa", "unknown_unit", "unreadable", "value", "which_sample",
    "wrong_field",
]  # fmt: skip

TITLES: Mapping[ProblemKind, str] = {
    "abstains": "The model will abstain",
    "analyte_twice": "An analyte has two values",
    "empty": "Nothing to read",
    "few_taxa": "Fewer taxa than nearly all training patients have",
    "half_empty": "Part of the profile may be missing",
    "ids_without_names": "The features have ids instead of names",
    "needless_taxonomy": "The taxonomy is not needed",
    "no_analyte": "No analyte was found",
    "no_profiler": "The profiler is not known",
    "no_unit": "The unit is not known",
    "not_a_profile": "This is not a stool profile",
    "not_a_table": "This is not a table",
    "other_naming": "The training cohorts have few of these taxa",
    "other_profiler": "Another profiler than in training",
    "other_unit": "Another unit than in training",
    "out_of_range": "A value lies outside the training range",
    "profiler_contradicted": "The file and the form name different profilers",
    "ranks_stacked": "Several ranks in one table",
    "request": "A value that the models cannot read",
    "several_draws": "Several blood draws in one table",
    "several_patients": "Several patients in one table",
    "swapped_unit": "The unit does not fit the numbers",
    "too_large": "The file is too large",
    "unit_contradicted": "The stated unit contradicts the numbers",
    "unit_unclear": "The numbers may be counts or percent",
    "unit_unusual": "An unusual unit for this format",
    "unknown_analyte": "No model reads this analyte",
    "unknown_column": "No model reads this column",
    "unknown_taxa": "None of these taxa occurs in the training cohorts",
    "unknown_unit": "This unit cannot be converted",
    "unreadable": "The file cannot be read",
    "value": "This value is not valid",
    "which_sample": "Which sample is the patient's?",
    "wrong_field": "The file belongs in another field",
}
