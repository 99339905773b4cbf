"""Names of the arrays that statistics take and return."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
"""Floating-point arrays of one dimension, and of two or more; the docstrings state their shapes."""
Names = NDArray[np.object_]
"""Arrays of str, such as each row's cohort."""
Positions = NDArray[np.intp]
"""Arrays of int that index rows, or number groups of rows."""
Mask = NDArray[np.bool_]
"""Arrays of bool that select rows."""
