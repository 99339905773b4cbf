"""Analyses of a trial: typed results, without figures and sentences."""
