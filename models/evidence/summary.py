"""The summary of a model's evidence that a bundle keeps and each prediction repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.plain_names import short_title
from models.evidence.estimates import Documented, Estimate, EventRate, RankedBy, Scheme, Share, StoredRecord


@dataclass(frozen=True)
class TrainingCohort(Documented):
    """A published or local cohort that the model was trained on."""

    name: str
    """Name of the cohort's manifest."""
    title: str
    """Title of the cohort."""
    clock: str
    """Clock on which its days are counted, such as day_ici."""
    index_event: str
    """Event on day 0 of the clock, such as the first dose."""
    profiler: str | None
    """Profiler and database of its taxa; null where not reported."""
    citation: str
    """Publication to cite."""
    licence: str
    """Licence of its data."""
    simulated: bool
    """Whether its patients are simulated."""


@dataclass(frozen=True)
class CentreAuroc(Documented):
    """Held-out AUROC of the model in one centre."""

    centre: str
    """Name of the cohort and centre, joined by a slash; of the cohort where its manifest names no centres."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: Estimate
    """Held-out AUROC, within folds; all null in a centre in which everyone or no one had the outcome."""


@dataclass(frozen=True)
class HeldOutCell(Documented):
    """One of the four cells of response and toxicity, predicted for held-out patients and observed."""

    name: str
    """Cell, named as in the joint outcome of a prediction."""
    predicted: Share
    """Mean predicted probability."""
    observed: EventRate
    """Patients in the cell."""


@dataclass(frozen=True)
class HeldOutCells(Documented):
    """What the held-out predictions of two models together showed of the four cells."""

    counterpart: str
    """Model of the other side whose held-out predictions were used, as name/version."""
    centres: int
    """Centres; where there are several, each centre's cells are predicted with the odds ratio of the others."""
    spread: float
    """Standard deviation of the log odds ratio over centres."""
    cells: tuple[HeldOutCell, ...]
    """The four cells."""
    calibrated: bool
    """Whether every predicted share lies within exact intervals of the observed ones that hold together at 95%."""
    log_score_gain: Estimate
    """By how much the mean log score exceeds that of independent outcomes; above 0 the odds ratio predicts better."""


@dataclass(frozen=True)
class PooledOddsRatio(Documented):
    """Odds ratio of response and toxicity over the training centres.

    Where enough patients have held-out predictions of both, it is that given these probabilities (Plackett, random
    effects over centres), else that of the counts (Mantel and Haenszel).
    """

    response: str
    """Id of the response."""
    toxicity: str
    """Id of the toxicity."""
    patients: int
    """Training patients whose response and toxicity are both known; at least 100."""
    value: float
    """Pooled odds ratio."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end of the 95% interval."""
    held_out: HeldOutCells | None = None
    """What held-out cells showed; null for an odds ratio of the counts, as in older bundles."""


@dataclass(frozen=True)
class Evidence(StoredRecord):
    """Summary of what a model was trained on and how it performed on held-out patients."""

    outcome: str
    """Id of the outcome, such as objective_response or toxicity_3."""
    definition: str
    """Clinical definition of the outcome."""
    sentence: str
    """The evidence in one sentence, without a full stop."""
    beats_chance: bool | None
    """Whether the held-out AUROC exceeds chance by its interval and by the permutation null; null without that null."""
    simulated: bool
    """Whether any training patient is simulated."""
    pooled_labels: bool
    """Whether published labels of different meaning were pooled."""
    patients: int
    """Training patients; 0 where an old bundle does not report it."""
    events: int
    """Training patients who had the outcome."""
    cohorts: tuple[TrainingCohort, ...]
    """Training cohorts."""
    landmark: float
    """Last day, on the model's clock, on which a measurement may enter."""
    window: float
    """Most days by which a measurement may precede the landmark."""
    clocks: tuple[str, ...]
    """Clocks of the training cohorts."""
    scheme: Scheme
    """How patients were held out: "loco", each cohort in turn; "cv", patients within cohorts."""
    held_out_auroc: Estimate
    """Held-out AUROC: the random-effects mean over centres, or that of one centre; a cohort that names none is one."""
    auroc_of: RankedBy
    """What every AUROC here ranks patients by: the probability as served, ties counting half; or, in bundles older than
    protocol 4, the margin, which ranks patients also where the model serves one probability for all of them."""
    margin_auroc: Estimate
    """Held-out AUROC of the margin, over the same centres: secondary, since the margin is not served."""
    held_out_brier: float | None
    """Held-out Brier score."""
    prevalence_brier: float | None
    """Brier score of predicting each centre's own prevalence, for comparison."""
    per_centre: tuple[CentreAuroc, ...]
    """Held-out AUROC in each centre; a cohort that names none is one centre."""
    odds_ratios: tuple[PooledOddsRatio, ...]
    """Odds ratios of this outcome with those of the other side (response, toxicity)."""
    models_compared: int
    """Models that the experiment trained, of which the best is chosen."""
    notes: tuple[str, ...]
    """Remarks on the training data."""
    taxokine_version: str
    """Version of Taxokine that trained the model."""
    by_day: float | Literal["any"] | None = None
    """Last day on which an adverse event counted, on the model's clock; null where a bundle does not report it."""

    @property
    def horizon(self) -> float | None:
        """The last day on which an adverse event counted, where there is one."""
        return self.by_day if isinstance(self.by_day, float) else None

    def centre_title(self, centre: str) -> str:
        """Return a centre, named as in `per_centre`, by its cohort's title: `PRIMM-UK (Lee 2022)`."""
        cohort, _, place = centre.partition("/")
        titles = {item.name: item.title for item in self.cohorts}
        title = titles.get(cohort, cohort)
        if [short_title(item) for item in titles.values()].count(short_title(title)) == 1:
            title = short_title(title)
        return f"{place} ({title})" if place else title
