"""The command line: one file for each group of commands."""

from taxokine.cli.main import main

__all__ = ["main"]
