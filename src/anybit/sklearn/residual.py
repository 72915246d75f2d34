"""Residual quantisation as an estimator."""

from __future__ import annotations

import numpy as np

from anybit.quantizers import FitResult, ResidualFitOptions, fit_residual
from anybit.sklearn.base import BaseQuantizer
from anybit.types import Float32Array, Metric

__all__ = ["ResidualQuantizer"]


class ResidualQuantizer(BaseQuantizer):
    """A codebook per level, each k-means of what the levels before left over.

    The first L columns of the codes are shorter codes of the same vectors.

    Parameters
    ----------
    n_levels : int
        Levels M: columns of the codes.
    n_codewords : int
        Codewords K of a level: a power of two from 2 to 256, at most the number of rows.
    metric : {"ip", "l2", "cosine"}
        Stored in `codebooks_` for searching; the fit is by squared error with every metric.
    has_offset : bool
        Take the mean off first and add it to every reconstruction.
    beam_size : int
        Codes of a vector that are kept at each level, in learning and in encoding; 1 is greedy.
    prefix_weight : float
        Weight of all shorter prefixes together, from 0 (the whole code alone) to 1;
        greedy codes go without.
    n_iterations : int
        Most k-means iterations of a level.
    max_train : int or None
        Learn from at most this many rows, drawn at random. None uses all.
    random_state : int, RandomState or None
        An int gives the codebooks of `anybit.quantizers.fit_residual` with that seed.

    Attributes
    ----------
    codebooks_ : Codebooks
        Of the stacked kind.
    distortions_ : ndarray of shape (M,), float64
        Mean squared error per training vector of the codes cut to 1, 2, ... M levels, summed
        over D.
    n_features_in_ : int
        Columns D of the training vectors.
    feature_names_in_ : ndarray of shape (D,)
        Their names, where X was a data frame with string columns.

    See Also
    --------
    anybit.quantizers.fit_residual : The fit itself, with all its options.

    References
    ----------
    Chen et al., "Approximate nearest neighbor search by residual vector quantization",
    Sensors 2010; the beam as in FAISS's ``ResidualQuantizer``, the weights of prefixes are ours.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 8))
    >>> quantizer = ResidualQuantizer(n_levels=3, n_codewords=16, random_state=0).fit(X)
    >>> quantizer.transform(X).shape, bool(np.all(np.diff(quantizer.distortions_) < 0))
    ((500, 3), True)
    """

    def __init__(  # noqa: PLR0913 - scikit-learn wants flat hyper-parameters
        self,
        n_levels: int = 8,
        n_codewords: int = 256,
        *,
        metric: Metric = "ip",
        has_offset: bool = True,
        beam_size: int = 5,
        prefix_weight: float = 1.0,
        n_iterations: int = 10,
        max_train: int | None = 65_536,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_levels = n_levels
        self.n_codewords = n_codewords
        self.metric = metric
        self.has_offset = has_offset
        self.beam_size = beam_size
        self.prefix_weight = prefix_weight
        self.n_iterations = n_iterations
        self.max_train = max_train
        self.random_state = random_state

    def _learn(self, features: Float32Array, seed: int) -> FitResult:
        options = ResidualFitOptions(
            n_levels=self._whole("n_levels"),
            n_codewords=self._whole("n_codewords"),
            metric=self.metric,
            has_offset=self._flag("has_offset"),
            beam_size=self._whole("beam_size"),
            prefix_weight=self.prefix_weight,
            n_iterations=self._whole("n_iterations"),
            max_train=None if self.max_train is None else self._whole("max_train"),
            seed=seed,
        )
        return fit_residual(features, options)
