"""Methods on fixed features, without a network: k-means, product, residual, recurrent codes."""

from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.kmeans import KMeansOptions, KMeansResult, assign, fit_kmeans
from anybit.quantizers.local_search import LocalSearchFitOptions, fit_local_search
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.quantizers.methods import METHODS, fit_vectors
from anybit.quantizers.options import FitOptions
from anybit.quantizers.product import ProductFitOptions, fit_product
from anybit.quantizers.recurrent import RecurrentFitOptions, fit_recurrent
from anybit.quantizers.recurrent_adam import AdamOptions
from anybit.quantizers.recurrent_rotated import RotatedFitOptions, fit_rotated
from anybit.quantizers.residual import ResidualFitOptions, fit_residual
from anybit.quantizers.stacked import StackedFitOptions, fit_stacked
from anybit.quantizers.vector_quantizer import VectorQuantizer, train_on_vectors

__all__ = [
    "METHODS",
    "AdamOptions",
    "FitOptions",
    "FitResult",
    "FitSettings",
    "KMeansOptions",
    "KMeansResult",
    "LocalSearchFitOptions",
    "ProductFitOptions",
    "RecurrentFitOptions",
    "ResidualFitOptions",
    "RotatedFitOptions",
    "StackedFitOptions",
    "VectorMethod",
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
