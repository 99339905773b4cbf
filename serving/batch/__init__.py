"""Predictions for the rows of a file: read in a process with limits, predicted row by row, written as they come."""
