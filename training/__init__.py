"""Tracked experiments: validation, metrics, figures and what MLflow is told of them."""
