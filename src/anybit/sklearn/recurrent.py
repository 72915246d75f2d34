"""The recurrent quantiser of DRQ as an estimator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anybit.quantizers import FitResult, RecurrentFitOptions, fit_recurrent
from anybit.sklearn.base import BaseQuantizer
from anybit.types import Float32Array, Metric

__all__ = ["RecurrentQuantizer"]


class RecurrentQuantizer(BaseQuantizer):
    """One codebook for all levels, with a scale per level: the recurrent quantiser of DRQ.

    The first L columns of the codes are the codes of L levels.

    Parameters
    ----------
    n_levels : int
        Levels M: columns of the codes.
    n_codewords : int
        Codewords K of the codebook: a power of two from 2 to 256, at most the number of rows.
    metric : {"ip", "l2", "cosine"}
        Stored in `codebooks_` for searching; the fit is by squared error with every metric.
    has_offset : bool
        Take the mean off first and add it to every reconstruction.
    n_iterations : int
        Most passes over the training vectors.
    tolerance : float
        Stop when a pass lowers the objective by less than this share of it.
    level_weights : sequence of float, optional
        Weight of each prefix's distortion, M numbers >= 0, the last > 0. All 1 when left out.
    max_train : int or None
        Learn from at most this many rows, drawn at random. None uses all.
    random_state : int, RandomState or None
        An int gives the codebook of `anybit.quantizers.fit_recurrent` with that seed.

    Attributes
    ----------
    codebooks_ : Codebooks
        Of the shared kind.
    distortions_ : ndarray of shape (M,), float64
        Mean squared error per training vector of the codes cut to 1, 2, ... M levels, summed
        over D.
    n_iter_ : int
        Passes made.
    n_features_in_ : int
        Columns D of the training vectors.
    feature_names_in_ : ndarray of shape (D,)
        Their names, where X was a data frame with string columns.

    Warns
    -----
    ConvergenceWarning
        From `fit`, when the scale of a level is near zero or below.

    See Also
    --------
    anybit.quantizers.fit_recurrent : The fit itself, with all its options.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    section 3 (recurrence and distortions, as reconstructed).

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 8))
    >>> quantizer = RecurrentQuantizer(n_levels=3, n_codewords=16, random_state=0).fit(X)
    >>> codes = quantizer.transform(X)
    >>> codes.shape, quantizer.inverse_transform(codes[:, :2]).shape
    ((500, 3), (500, 8))
    """

    def __init__(  # noqa: PLR0913 - scikit-learn wants flat hyper-parameters
        self,
        n_levels: int = 8,
        n_codewords: int = 256,
        *,
        metric: Metric = "ip",
        has_offset: bool = True,
        n_iterations: int = 30,
        tolerance: float = 1e-5,
        level_weights: Sequence[float] | None = None,
        max_train: int | None = 262_144,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_levels = n_levels
        self.n_codewords = n_codewords
        self.metric = metric
        self.has_offset = has_offset
        self.n_iterations = n_iterations
        self.tolerance = tolerance
        self.level_weights = level_weights
        self.max_train = max_train
        self.random_state = random_state

    def _learn(self, features: Float32Array, seed: int) -> FitResult:
        weights = self.level_weights
        options = RecurrentFitOptions(
            n_levels=self._whole("n_levels"),
            n_codewords=self._whole("n_codewords"),
            metric=self.metric,
            has_offset=self._flag("has_offset"),
            n_iterations=self._whole("n_iterations"),
            tolerance=self.tolerance,
            level_weights=None if weights is None else tuple(float(weight) for weight in weights),
            max_train=None if self.max_train is None else self._whole("max_train"),
            seed=seed,
        )
        result = fit_recurrent(features, options)
        self.n_iter_ = len(result.history) - 1  # its first entry is the start
        return result
