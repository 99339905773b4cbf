"""The level of tests."""

from __future__ import annotations

ALPHA = 0.05
"""Level of every test whose level is not asked for, two-sided where a test has two sides."""
