"""Product quantisation as an estimator, with or without a rotation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from anybit.codes import Codes
from anybit.errors import OptionError, ShapeError
from anybit.quantizers import FitResult, ProductFitOptions, fit_product
from anybit.sklearn.base import BaseQuantizer
from anybit.types import Float32Array, Int64Array, Metric

__all__ = ["ProductQuantizer"]


class ProductQuantizer(BaseQuantizer):
    """A codebook per block of columns, k-means of that block; with `rotation` OPQ.

    The columns are cut into M consecutive blocks, one a level, so a code is used whole: its first
    columns are no shorter code. Where M does not divide D, the blocks differ by one column and
    zeros fill them up to ceil(D/M) columns; `pad` does the same for queries.

    Parameters
    ----------
    n_levels : int
        Blocks M, at most D: columns of the codes.
    n_codewords : int
        Codewords K of a block: a power of two from 2 to 256, at most the number of rows.
    rotation : bool
        Learn an orthogonal matrix that turns the vectors before they are cut (OPQ).
        Needs FAISS.
    metric : {"ip", "l2", "cosine"}
        Stored in `codebooks_` for searching; the fit is by squared error with every metric.
    has_offset : bool
        Take the mean off first and add it to every reconstruction.
    n_iterations : int
        Most k-means iterations of a block.
    max_train : int or None
        Learn from at most this many rows, drawn at random. None uses all.
    random_state : int, RandomState or None
        An int gives the codebooks of `anybit.quantizers.fit_product` with that seed.

    Attributes
    ----------
    codebooks_ : Codebooks
        Of the product kind; of the padded dimension M ceil(D/M).
    distortions_ : ndarray of shape (M,), float64
        Mean squared error per training vector, summed over D, with the first 1, 2, ... M blocks
        described and the others at the offset (at zero without one).
    n_features_in_ : int
        Columns D of the training vectors.
    feature_names_in_ : ndarray of shape (D,)
        Their names, where X was a data frame with string columns.

    See Also
    --------
    anybit.quantizers.fit_product : The fit itself, with all its options.

    References
    ----------
    Jégou et al., "Product quantization for nearest neighbor search", PAMI 2011; Ge et al.,
    "Optimized product quantization", CVPR 2013.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 10))
    >>> quantizer = ProductQuantizer(n_levels=4, n_codewords=16, random_state=0).fit(X)
    >>> quantizer.transform(X).shape, quantizer.codebooks_.dim, quantizer.pad(X).shape
    ((500, 4), 12, (500, 12))
    """

    def __init__(
        self,
        n_levels: int = 8,
        n_codewords: int = 256,
        *,
        rotation: bool = False,
        metric: Metric = "ip",
        has_offset: bool = False,
        n_iterations: int = 20,
        max_train: int | None = 65_536,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_levels = n_levels
        self.n_codewords = n_codewords
        self.rotation = rotation
        self.metric = metric
        self.has_offset = has_offset
        self.n_iterations = n_iterations
        self.max_train = max_train
        self.random_state = random_state

    def pad(self, X: ArrayLike) -> Float32Array:
        """Return vectors as `codebooks_`, and an `anybit.Index` with them, take them.

        Parameters
        ----------
        X : array-like of shape (N, D)

        Returns
        -------
        ndarray of shape (N, M ceil(D/M)), float32
            X itself where M divides D; inner products and distances are those of X.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or X is no finite array with the columns of training.
        """
        return self._padded(self._fitted_features(X), self.codebooks_.n_levels)

    def _learn(self, features: Float32Array, seed: int) -> FitResult:
        options = ProductFitOptions(
            n_levels=self._whole("n_levels"),
            n_codewords=self._whole("n_codewords"),
            metric=self.metric,
            has_offset=self._flag("has_offset"),
            has_rotation=self._flag("rotation"),
            n_iterations=self._whole("n_iterations"),
            max_train=None if self.max_train is None else self._whole("max_train"),
            seed=seed,
        )
        if options.n_levels > features.shape[1]:
            raise OptionError(
                f"n_levels must be at most the number of columns, got {options.n_levels} with "
                f"n_features={features.shape[1]}. Use fewer levels, or a ResidualQuantizer."
            )
        return fit_product(self._padded(features, options.n_levels), options)

    def _encode(self, features: Float32Array) -> Codes:
        return self.codebooks_.encode(self._padded(features, self.codebooks_.n_levels))

    def _decode(self, codes: Codes) -> Float32Array:
        n_levels = self.codebooks_.n_levels
        if codes.n_levels != n_levels:
            raise ShapeError(
                f"codes must have all {n_levels} levels (columns), got {codes.n_levels}. "
                "Product codes cannot be cut."
            )
        padded = self.codebooks_.decode(codes)
        if padded.shape[1] == self.n_features_in_:
            return padded
        return padded[:, _columns(self.n_features_in_, n_levels)]  # (N, D)

    @staticmethod
    def _padded(features: Float32Array, n_levels: int) -> Float32Array:
        """Return features (N, D) with each block filled up with zeros to ceil(D/M) columns."""
        n_items, dim = features.shape
        if dim % n_levels == 0:
            return features
        padded = np.zeros((n_items, n_levels * -(-dim // n_levels)), dtype=np.float32)
        padded[:, _columns(dim, n_levels)] = features
        return padded


def _columns(dim: int, n_levels: int) -> Int64Array:
    """Return where each of D columns lies when M blocks are filled up to ceil(D/M), (D,)."""
    width = -(-dim // n_levels)
    blocks = np.array_split(np.arange(dim), n_levels)  # sizes differ by one at most
    return np.concatenate([m * width + np.arange(len(block)) for m, block in enumerate(blocks)])
