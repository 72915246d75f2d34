"""What the estimators share: checks of arrays, codes and back, score."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anybit.codes import Codebooks, Codes
from anybit.errors import DependencyError, DTypeError, OptionError
from anybit.quantizers import FitResult
from anybit.types import Float32Array, UInt8Array

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_array, check_random_state, check_scalar
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as cause:
    raise DependencyError(
        f"anybit.sklearn needs scikit-learn 1.6 or newer: {cause}. "
        "Run `pip install 'scikit-learn>=1.6'`."
    ) from cause

__all__ = ["BaseQuantizer"]


# scikit-learn has no annotations, hence the ignored rule.
class BaseQuantizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fit, transform, back and score, around a fit that the class below gives."""

    n_levels: int
    n_codewords: int
    random_state: int | np.random.RandomState | None

    codebooks_: Codebooks
    distortions_: NDArray[np.float64]
    n_features_in_: int

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the codebooks.

        Parameters
        ----------
        X : array-like of shape (N, D)
            At least `n_codewords` rows of finite numbers; used as float32.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is not such an array, or a hyper-parameter is out of range (`OptionError`).
        TypeError
            If X is sparse, or a hyper-parameter has the wrong type.
        DataError
            If squares of the values have no room in float32.

        Warns
        -----
        ConvergenceWarning
            If levels or codewords carry no information, for example because X has fewer distinct
            rows than codewords.
        """
        features = self._features(X, reset=True)  # (N, D)
        n_codewords = self._whole("n_codewords")
        if len(features) < n_codewords:
            raise OptionError(
                f"n_codewords must be at most the number of rows, got {n_codewords} with "
                f"n_samples={len(features)}. Lower n_codewords or give more rows."
            )
        result = self._learn(features, self._seed())
        self.codebooks_ = result.codebooks
        self.distortions_ = result.distortion_per_level
        for text in result.warnings:
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        return self

    def transform(self, X: ArrayLike) -> UInt8Array:
        """Encode vectors.

        Parameters
        ----------
        X : array-like of shape (N, D)

        Returns
        -------
        ndarray of shape (N, M), uint8
            Codeword numbers, the coarsest level first.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or X is no finite array with the columns of training.
        """
        return np.ascontiguousarray(self._encode(self._fitted_features(X)).planes.T)

    def inverse_transform(self, X: ArrayLike) -> Float32Array:
        """Decode codes, or the first levels of codes where the quantiser is a sequential one.

        Parameters
        ----------
        X : array-like of shape (N, L), integers
            Codes as `transform` returns them, L from 1 to M; a `ProductQuantizer` needs all M.

        Returns
        -------
        ndarray of shape (N, D), float32
            Reconstructions.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        DTypeError, ShapeError, OptionError
            If the codes are no integers, have too many levels, or name codewords that there
            are not.
        """
        check_is_fitted(self)
        rows = check_array(X, dtype=None, input_name="X", estimator=self)
        if rows.dtype.kind not in "iu":
            raise DTypeError(
                f"codes must be integers as transform returns them, got {rows.dtype}. "
                "Give codes, not vectors; undo a conversion with X.astype('uint8')."
            )
        if rows.min() < 0 or rows.max() >= self.codebooks_.n_codewords:
            raise OptionError(
                f"codes must be from 0 to {self.codebooks_.n_codewords - 1}, "
                f"got {rows.min()} to {rows.max()}."
            )
        codes = Codes.from_rows(rows.astype(np.uint8), self.codebooks_.n_codewords)
        return self._decode(codes)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the negative distortion: larger is better, 0 is exact.

        Parameters
        ----------
        X : array-like of shape (N, D)
        y : None
            Ignored.

        Returns
        -------
        float
            ``-mean_n |x_n - reconstruction_n|^2`` with the whole code, summed over D. On the
            training vectors it is ``-distortions_[-1]``, up to float32 rounding.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or X is no finite array with the columns of training.
        """
        features = self._fitted_features(X)
        errors = features - self._decode(self._encode(features))  # (N, D)
        return -float(np.einsum("nd,nd->n", errors, errors).mean(dtype=np.float64))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes are uint8, whatever came
        return tags

    @property
    def _n_features_out(self) -> int:
        """Columns that `transform` returns, as scikit-learn's mix-in asks for them."""
        return self.codebooks_.n_levels

    @abstractmethod
    def _learn(self, features: Float32Array, seed: int) -> FitResult:
        """Return what was learned from checked features (N, D)."""

    def _encode(self, features: Float32Array) -> Codes:
        return self.codebooks_.encode(features)

    def _decode(self, codes: Codes) -> Float32Array:
        return self.codebooks_.decode(codes)

    def _fitted_features(self, X: ArrayLike) -> Float32Array:
        """Return X as `_features` does, where `fit` was called."""
        check_is_fitted(self)
        return self._features(X, reset=False)

    def _features(self, X: ArrayLike, *, reset: bool) -> Float32Array:
        """Return X as finite float32 (N, D), checked as scikit-learn wants it."""
        with np.errstate(over="ignore"):  # what becomes infinite as float32 is refused
            checked = validate_data(self, X, reset=reset, dtype=np.float32, order="C")
        return np.asarray(checked)

    def _whole(self, name: str) -> int:
        """Return a hyper-parameter that must be an integer."""
        return int(check_scalar(getattr(self, name), name, Integral))

    def _flag(self, name: str) -> bool:
        """Return a hyper-parameter that must be true or false."""
        return bool(check_scalar(getattr(self, name), name, (bool, np.bool_)))

    def _seed(self) -> int:
        """Return `random_state` when it is an integer, or draw one from it."""
        state: Any = self.random_state
        random = check_random_state(state)
        return int(state if isinstance(state, Integral) else random.randint(2**31 - 1))
