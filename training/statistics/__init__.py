"""Numbers of arrays: estimates, intervals, tests and distances; no cohort, no figure, no run."""
