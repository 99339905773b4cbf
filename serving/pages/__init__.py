"""The pages for clinicians and researchers: sign-in, candidates, one patient, uploads, and the served models."""

from serving.pages.routes import create_pages

__all__ = ["create_pages"]
