"""Our training beside the same work written plainly in scikit-learn, on the same outer folds and one process a core.

Both sides tune, calibrate and fit within each fold, over one grid and the same inner splits. Ours then does in
full what the plain side is too slow for: every fold, and the fits to all patients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.plain import left_out_probability
from features.cohort import read_cohort
from features.errors import DataMissing
from features.landmark import FeatureTable, landmark_table, pooled
from features.settings import settings
from features.simulator import simulate_trial
from models.encoder import BlockEncoder
from models.families import FAMILIES
from training.experiment import Experiment, block_sets, eligible, joined_table
from training.metrics import log_loss
from training.validation import Fold, fit, folds, outcome_vector, validate

Vector = NDArray[np.float64]
OUTCOME = "objective_response"
EXPERIMENT = Experiment(
    ("lee_2022", "frankel_2017", "mitox", "davar_2021"), OUTCOME, blocks=("taxa", "clinical"), repeats=1
)
INNER: dict[str, Any] = {"n_folds": EXPERIMENT.n_folds, "seed": EXPERIMENT.seed}
TARGET = 4
