"""What a predictor is: families, encoder, bundle, explanation, trust, registry (code, never artefacts)."""
