"""Quantisers of plain vectors as scikit-learn estimators: for pipelines, grids and `clone`."""

from anybit.sklearn.product import ProductQuantizer
from anybit.sklearn.recurrent import RecurrentQuantizer
from anybit.sklearn.residual import ResidualQuantizer

__all__ = ["ProductQuantizer", "RecurrentQuantizer", "ResidualQuantizer"]
