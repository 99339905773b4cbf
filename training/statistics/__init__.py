"""Statistics of arrays: estimates, intervals, tests, distances and survival models."""
