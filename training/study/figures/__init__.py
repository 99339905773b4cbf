"""Figures of a study's report, drawn from typed results."""
