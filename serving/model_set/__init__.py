"""The served set of models: loaded from the registry, kept on disk, and replaced while the server runs."""
