"""Methods on fixed features, without a network: k-means, product, residual, recurrent codes."""

from anybit.baselines.fit_result import FitResult
from anybit.baselines.kmeans import KMeansOptions, KMeansResult, assign, fit_kmeans
from anybit.baselines.local_search import LocalSearchFitOptions, fit_local_search
from anybit.baselines.methods import METHODS, fit_vectors
from anybit.baselines.options import FitOptions
from anybit.baselines.product import ProductFitOptions, fit_product
from anybit.baselines.recurrent import RecurrentFitOptions, fit_recurrent
from anybit.baselines.recurrent_adam import AdamOptions
from anybit.baselines.recurrent_rotated import RotatedFitOptions, fit_rotated
from anybit.baselines.residual import ResidualFitOptions, fit_residual
from anybit.baselines.stacked import StackedFitOptions, fit_stacked
from anybit.baselines.vector_quantizer import VectorQuantizer, train_on_vectors

__all__ = [
    "METHODS",
    "AdamOptions",
    "FitOptions",
    "FitResult",
    "KMeansOptions",
    "KMeansResult",
    "LocalSearchFitOptions",
    "ProductFitOptions",
    "RecurrentFitOptions",
    "ResidualFitOptions",
    "RotatedFitOptions",
    "StackedFitOptions",
    "VectorQuantizer",
    "assign",
    "fit_kmeans",
    "fit_local_search",
    "fit_product",
    "fit_recurrent",
    "fit_residual",
    "fit_rotated",
    "fit_stacked",
    "fit_vectors",
    "train_on_vectors",
]
