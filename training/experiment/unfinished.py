"""What an experiment has finished so far, kept on this machine until all of it is, so that it can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import InputError
from features.settings import settings
from training import tracking
from training.experiment.spec import Experiment
from training.validation.permutation_null import ModelKey, RefitAurocs
from training.workers import package_versions


def specification_digest(experiment: Experiment, table_digest: str) -> str:
    """Return a short hash of all on which an experiment's numbers depend: options, data, and versions that compute."""
    content = json.dumps([experiment.params(), table_digest, package_versions()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PermutationFile:
    """AUROCs of the permutations that are finished, one line each.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def load(self) -> dict[int, RefitAurocs]:
        """Return the AUROCs by the permutation's number; a line that was not written whole is left out."""
        if not self.path.is_file():
            return {}
        finished: dict[int, RefitAurocs] = {}
        for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]:
            number, models = json.loads(line)
            finished[number] = {(family, tuple(blocks)): aurocs for family, blocks, aurocs in models}
        return finished

    def save(self, number: int, aurocs: RefitAurocs) -> None:
        """Append a permutation's AUROCs."""
        models = [[family, blocks, values] for (family, blocks), values in aurocs.items()]
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([number, models]) + "\n")


@dataclass(frozen=True)
class UnfinishedExperiment:
    """What one experiment has finished.

    Attributes
    ----------
    digest : str
        As `specification_digest` returns it.
    run_id : str or None
        Run to go on with; None for a new one.
    models : mapping of ModelKey to str
        Runs of the models that are finished.
    """

    digest: str
    run_id: str | None = None
    models: Mapping[ModelKey, str] = field(default_factory=dict)

    @property
    def outcomes(self) -> PermutationFile:
        """Permutations of the outcomes."""
        return PermutationFile(settings().home / "unfinished" / f"{self.digest}-outcomes.jsonl")

    @property
    def profiles(self) -> PermutationFile:
        """Permutations of the profiles."""
        return PermutationFile(settings().home / "unfinished" / f"{self.digest}-profiles.jsonl")

    def delete(self) -> None:
        """Delete the permutations."""
        for permutations in (self.outcomes, self.profiles):
            permutations.path.unlink(missing_ok=True)


def start_experiment(digest: str) -> UnfinishedExperiment:
    """Return an experiment of which nothing is finished; what an interrupted one of this digest has left is deleted."""
    experiment = UnfinishedExperiment(digest)
    experiment.delete()
    return experiment


def resume_experiment(outcome: str, digest: str) -> UnfinishedExperiment:
    """Return what the last interrupted experiment of an outcome and digest has finished; its half-logged models go.

    Raises
    ------
    InputError
        There is no such experiment.
    """
    run_id = tracking.interrupted_run(outcome, digest)
    if run_id is None:
        raise InputError(
            f"no interrupted experiment of {outcome} has these options, data and versions; leave out --resume to begin "
            "one"
        )
    return UnfinishedExperiment(digest, run_id, tracking.keep_finished_models(run_id))
