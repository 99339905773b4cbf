"""Sections of a study's report: each brings analysis, figures and sentences of its topics together."""
