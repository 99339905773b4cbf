"""Whether the comparison of donors finds a planted best donor, and how often its intervals hold.

`python -m benchmarks.donor_ranking > benchmarks/donor_ranking.md`; about five minutes.

In each simulated trial the engraftment model learns from the recipients of half of the donors. The others are compared
for recipients who are as new to the model as they are. The first donor has more of the taxa that favour response. For
each recipient and each compared donor, the stool on day 28 is simulated; the interval of the difference holds if it
contains what the outcome model makes of this stool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.markdown import print_table
from features.arrays import Matrix, Vector
from features.feature_table import Block, FeatureTable
from features.transplants import Transplant, TransplantProfiles
from models.bundle import Model
from models.calibration import Calibration
from models.donors import DonorStool, compare_donors
from models.encoder import BlockEncoder
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.patient_input import Candidate, StoolProfile
from models.predict import ServedModel
from taxokine.simulation import AS_PUBLISHED
from taxokine.simulation.design import Trial
from taxokine.simulation.outcomes import best_response, risks
from taxokine.simulation.patients import Enrolment, enrol
from taxokine.simulation.stool import StoolSamples, log_abundances, read_counts, standardised_balance
from training.engraftment.run import validated_bundle
from training.progress import Progress

DAY = 28
N_TRIALS = 20
N_COMPARED = 4
PROFILER = "simulated"
ONE_CENTRE = Trial(n_centres=1, centre_shift=0.0)
SETTINGS: Mapping[str, Trial] = {
    "strong engraftment, best donor + 2 SD": replace(ONE_CENTRE, best_donor_sds=2.0),
    "strong engraftment, no best donor": ONE_CENTRE,
    "as published, best donor + 2 SD": replace(
        AS_PUBLISHED, n_centres=1, centre_shift=0.0, n_taxa=300, best_donor_sds=2.0
    ),
}


@dataclass(frozen=True)
class Hosts:
    """The hosts of a simulated trial, whose stool can be drawn again and again."""

    trial: Trial
    enrolment: Enrolment
    abundances: Matrix

    def stool(self, rng: np.random.Generator, host: Vector, donor: Vector, share: Vector) -> Matrix:
        """Return one sample of each host, (n_hosts, n_taxa), in which a donor has this share."""
        n = self.trial.n_patients
        donors = self.enrolment.donor.copy()
        recipients = host[host < n].astype(int)
        donors[recipients] = donor[host < n]
        samples = StoolSamples(pd.DataFrame(), host.astype(int), share[:, None])
        counts = read_counts(self.trial, rng, self.abundances, samples, replace(self.enrolment, donor=donors))
        return counts / counts.sum(axis=1, keepdims=True)


def simulated_hosts(trial: Trial) -> tuple[Hosts, np.random.Generator]:
    """Return the hosts of a trial, and the generator of their stool."""
    rng = np.random.default_rng(trial.seed)
    enrolment = enrol(trial, rng)
    return Hosts(trial, enrolment, log_abundances(trial, rng)), rng


def outcome_model(n_taxa: int) -> ServedModel:
    """Return an elastic net of response, trained on stool before treatment of 400 simulated patients."""
    hosts, rng = simulated_hosts(replace(ONE_CENTRE, seed=999, n_patients=400, n_taxa=n_taxa))
    trial, n = hosts.trial, 400
    every, none = np.arange(n), np.zeros(n)
    stool = hosts.stool(rng, every, hosts.enrolment.donor, none)
    balance = standardised_balance(trial, hosts.abundances[:n], trial.causes.balances["response_balance"])
    terms = dict.fromkeys((*trial.causes.response, *trial.causes.toxicity, *trial.causes.survival), none)
    predictors = risks(trial, {**terms, "response_balance": balance}, hosts.enrolment.treated)
    recist = best_response(rng, predictors.response).recist
    y = np.isin(recist, ["CR", "PR"]).astype(float)
    empty = Block((), np.empty((n, 0)))
    rows = pd.DataFrame({"cohort": "simulated", "patient": [str(i) for i in range(n)]})
    table = FeatureTable(rows, Block(trial.taxa, stool), empty, empty, empty, {}, {}, ())
    encoder = BlockEncoder(("taxa",))
    X = encoder.fit_transform(table)
    family = FAMILIES["elastic_net"]
    predictor = family.fit(X, y, np.zeros(n, dtype=np.intp), family.settings[9], seed=0)
    evidence = upgrade_evidence(
        {"clocks": [], "simulated": True, "landmark": 0.0, "sentence": "", "beats_chance": None}, "objective_response"
    )
    model = Model(
        "objective_response", "elastic_net", encoder, predictor, Calibration(1.0, 0.0), {}, (PROFILER,), evidence, ""
    )
    return ServedModel(model, "objective_response", "1", "", "champion")


def transplant_profiles(hosts: Hosts, rng: np.random.Generator, recipients: Vector) -> TransplantProfiles:
    """Return the transplants of some recipients from their own donors."""
    trial, donor = hosts.trial, hosts.enrolment.donor[recipients]
    none = np.zeros(len(recipients))
    share = hosts.enrolment.engraftment[recipients] * (1 - np.exp(-DAY / trial.engraftment_days))
    return TransplantProfiles(
        rows=tuple(Transplant("simulated", str(i), (f"d{d}",), DAY) for i, d in zip(recipients, donor, strict=True)),
        taxa=trial.taxa,
        stool_before=hosts.stool(rng, recipients, donor, none),
        donor=hosts.stool(rng, trial.n_patients + donor, donor, none),
        stool_after=hosts.stool(rng, recipients, donor, share),
        profiler=PROFILER,
        rank="species",
        simulated=True,
        notes=(),
    )


def profile(taxa: tuple[str, ...], proportions: Vector) -> StoolProfile:
    """Return a profile as a request has it."""
    values = {name: float(value) for name, value in zip(taxa, proportions, strict=True) if value}
    return StoolProfile(values, "proportions", PROFILER)


def compared(trial: Trial, served: ServedModel) -> tuple[bool, list[bool], list[int]]:
    """Return, of one trial, whether the regression predicts, which intervals hold, and the ranks of the first donor."""
    hosts, rng = simulated_hosts(replace(trial, n_patients=40, n_donors=2 * N_COMPARED))
    trial, model = hosts.trial, served.model
    donors = np.arange(N_COMPARED)
    is_training = hosts.enrolment.donor >= N_COMPARED
    profiles = transplant_profiles(hosts, rng, np.flatnonzero(is_training))
    bundle = validated_bundle(profiles, ("simulated",), Progress())
    stool = hosts.stool(rng, trial.n_patients + donors, donors, np.zeros(N_COMPARED))
    candidates = [DonorStool(f"d{i}", profile(trial.taxa, stool[i])) for i in donors]
    holds, ranks = [], []
    for recipient in np.flatnonzero(~is_training)[:8]:
        host = np.full(N_COMPARED, recipient)
        before = hosts.stool(rng, host[:1], donors[:1], np.zeros(1))
        comparison = compare_donors(
            bundle, {model.outcome: [served]}, Candidate({}, profile(trial.taxa, before[0])), candidates
        )
        share = hosts.enrolment.engraftment[recipient] * (1 - np.exp(-DAY / trial.engraftment_days))
        # A host has one donor at a time.
        after = np.vstack([hosts.stool(rng, host[:1], donors[i : i + 1], np.full(1, share)) for i in donors])
        log_odds = model.predictor.margin(model.encoder.encode({"taxa": after}))
        changes = {donor.donor: donor.changes[0] for donor in comparison.donors}
        differences = []
        for i in donors:
            change = changes[f"d{i}"]
            assert change.difference is not None, change.reason
            observed = float(model.calibration.probability(log_odds[i])) - change.probability_before
            holds.append(bool(change.low <= observed <= change.high))
            differences.append(change.difference)
        ranks.append(1 + int((np.array(differences) > differences[0]).sum()))
    return bundle.model.method == "regression", holds, ranks


def table_rows() -> Iterator[str]:
    """Yield a row of the table for each setting."""
    for name, trial in SETTINGS.items():
        served = outcome_model(trial.n_taxa)
        trials = [compared(replace(trial, seed=seed), served) for seed in range(N_TRIALS)]
        coverage = np.array([np.mean(holds) for _, holds, _ in trials])
        first = np.array([np.mean([rank == 1 for rank in ranks]) for _, _, ranks in trials])
        top = np.mean([np.mean(ranks) < (N_COMPARED + 1) / 2 for _, _, ranks in trials])
        error = coverage.std(ddof=1) / np.sqrt(N_TRIALS)
        yield (
            f"| {name} | {np.mean([regression for regression, _, _ in trials]):.0%} | {coverage.mean():.1%} "
            f"± {1.96 * error:.1%} | {first.mean():.0%} | {top:.0%} |"
        )


def main() -> None:
    """Print the table."""
    print("# Donors compared, in simulated trials\n")
    print((__doc__ or "").partition("\n\n")[2].partition("\n\n")[2])
    print(
        f"{N_TRIALS} trials each, 8 recipients and {N_COMPARED} donors compared in each, all new to the engraftment "
        "model. By chance the planted donor would be first in 25%.\n"
    )
    print_table(
        "trials|the regression predicts|95% intervals hold|first donor ranked first|its mean rank above the middle",
        list(table_rows()),
    )


if __name__ == "__main__":
    main()
