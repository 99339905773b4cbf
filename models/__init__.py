"""Trained models: families, encoder, calibration, applicability domain, explanation, bundle and registry."""
