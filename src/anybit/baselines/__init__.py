"""Methods on fixed features, without a network: k-means, residual and recurrent quantisation."""

from anybit.baselines.fit_result import FitResult
from anybit.baselines.kmeans import KMeansOptions, KMeansResult, assign, fit_kmeans
from anybit.baselines.recurrent import RecurrentFitOptions, fit_recurrent
from anybit.baselines.recurrent_adam import AdamOptions
from anybit.baselines.residual import ResidualFitOptions, fit_residual
from anybit.baselines.vector_quantizer import VectorQuantizer, train_on_vectors

__all__ = [
    "AdamOptions",
    "FitResult",
    "KMeansOptions",
    "KMeansResult",
    "RecurrentFitOptions",
    "ResidualFitOptions",
    "VectorQuantizer",
    "assign",
    "fit_kmeans",
    "fit_recurrent",
    "fit_residual",
    "train_on_vectors",
]
