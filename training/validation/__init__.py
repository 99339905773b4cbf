"""Held-out predictions by nested cross-validation, their baselines, and the permutation null."""
