"""Serum cytokines and other immune measurements: how a file lays them out, reading it, and the table it becomes."""

from features.immune.reading import read_immune
from features.immune.specification import ImmuneSpec
from features.immune.table import ImmuneTable

__all__ = ["ImmuneSpec", "ImmuneTable", "read_immune"]
