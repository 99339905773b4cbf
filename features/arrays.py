"""Types of the arrays that functions take and return; their docstrings state shapes and units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
"""Floating-point array of one dimension, such as a number for each patient."""
Matrix = NDArray[np.float64]
"""Floating-point array of two or more dimensions. To a type checker it is a `Vector`: the names are for readers."""
Names = NDArray[np.object_]
"""Array of str, such as each row's cohort."""
Positions = NDArray[np.intp]
"""Array of int that indexes rows, or numbers groups of rows."""
Counts = NDArray[np.int_]
"""Array of int that counts."""
Mask = NDArray[np.bool_]
"""Array of bool with a flag for each row, such as whether its event was observed."""
Labels = NDArray[np.generic]
"""A label of any type for each row, such as its patient or its time window."""
