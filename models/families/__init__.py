"""Families of classifiers: what each tunes, how it is fitted, and how it explains its predictions."""

from models.families.base import BlockColumns, Family, Predictor, Setting
from models.families.catalogue import FAMILIES
from models.families.linear import ElasticNet, LinearPredictor, logistic_elastic_net_path
from models.families.trees import TreePredictor

__all__ = [
    "FAMILIES",
    "BlockColumns",
    "ElasticNet",
    "Family",
    "LinearPredictor",
    "Predictor",
    "Setting",
    "TreePredictor",
    "logistic_elastic_net_path",
]
