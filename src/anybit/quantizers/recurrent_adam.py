"""The gradient way to fit a shared codebook: Adam on mini-batches, gradients by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.errors import OptionError
from anybit.quantizers.recurrent_steps import (
    code_sums,
    encode_prefixes,
    moments,
    normal_matrix,
    scale_system,
)
from anybit.types import Float32Array, ProgressCallback

__all__ = ["AdamOptions", "AdamResult", "fit_by_adam", "prefix_gradients"]

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class AdamOptions:
    """Settings of the gradient variant.

    Parameters
    ----------
    learning_rate : float
        First step, falling to 0 on a cosine; for codewords in units of their root mean square.
    batch_size : int
        Vectors of a step.
    """

    learning_rate: float = 0.06
    batch_size: int = 1024

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.batch_size < 1:
            raise OptionError(
                "learning_rate must be above 0 and batch_size at least 1, "
                f"got {self.learning_rate} and {self.batch_size}."
            )


@dataclass(frozen=True)
class AdamResult:
    """The best epoch: codebook (K, D), scales (M,); objective at the start and every epoch."""

    codebook: Float32Array
    scales: Float64Array
    history: tuple[float, ...]


class _Moment:
    """Adam's running means of one parameter."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean = np.zeros(shape)
        self.square = np.zeros(shape)
        self.n_steps = 0

    def step(self, gradient: Float64Array) -> Float64Array:
        """Return the step for a learning rate of 1 (beta 0.9 and 0.999)."""
        self.n_steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        mean = self.mean / (1 - 0.9**self.n_steps)
        return mean / (np.sqrt(self.square / (1 - 0.999**self.n_steps)) + 1e-12)


def prefix_gradients(
    batch: Float32Array, codebook: Float32Array, scales: Float64Array, weights: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Differentiate the weighted sum of hard prefix distortions, codes held fixed.

    Parameters
    ----------
    batch : ndarray of shape (n, D), float32
    codebook : ndarray of shape (K, D), float32
    scales : ndarray of shape (M,), float64
    weights : ndarray of shape (M,), float64

    Returns
    -------
    by_codebook : ndarray of shape (K, D), float64
    by_scales : ndarray of shape (M,), float64
        Entry 0 too, though ``s_0`` stays 1.
    """
    encoding = encode_prefixes(batch, codebook, scales)
    stats = moments(encoding.codes, weights)
    sums = code_sums(batch, encoding.codes, stats.tails * scales, len(codebook))
    by_codebook = normal_matrix(stats, scales, len(codebook)) @ codebook - sums  # (K, D)
    matrix = scale_system(codebook, stats)  # (M, M)
    by_scales = matrix @ scales - stats.tails * encoding.projections
    return 2 * by_codebook / len(batch), 2 * by_scales / len(batch)


def fit_by_adam(
    features: Float32Array,
    start: tuple[Float32Array, Float64Array],
    weights: Float64Array,
    schedule: tuple[int, AdamOptions],
    rng: np.random.Generator,
    progress: ProgressCallback | None = None,
) -> AdamResult:
    """Run epochs of Adam from a codebook (K, D) and scales (M,); keep the best epoch.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
        Centred already.
    start : tuple of codebook and scales
    weights : ndarray of shape (M,), float64
        Weight of each prefix.
    schedule : tuple of int and AdamOptions
        Epochs, and the settings.
    rng : numpy.random.Generator
        Draws the batches.
    progress : callable, optional
        Called with (epochs done, epochs).

    Returns
    -------
    AdamResult
    """
    codebook, scales = start
    n_epochs, options = schedule
    size = min(options.batch_size, len(features))
    n_batches = len(features) // size
    unit = float(np.sqrt(np.square(codebook, dtype=np.float64).mean()))
    history = [float(weights @ encode_prefixes(features, codebook, scales).distortions)]
    best = (history[0], codebook, scales)
    of_codebook, of_scales = _Moment(codebook.shape), _Moment(scales.shape)
    for epoch in range(n_epochs):
        order = rng.permutation(len(features))
        for number in range(n_batches):
            done = (epoch * n_batches + number) / (n_epochs * n_batches)
            rate = options.learning_rate * 0.5 * (1 + np.cos(np.pi * done))
            batch = features[order[number * size : (number + 1) * size]]
            by_codebook, by_scales = prefix_gradients(batch, codebook, scales, weights)
            by_scales[0] = 0
            step = rate * unit * of_codebook.step(by_codebook)
            codebook = (codebook - step).astype(np.float32)
            scales = scales - rate * of_scales.step(by_scales)
        history.append(float(weights @ encode_prefixes(features, codebook, scales).distortions))
        if history[-1] < best[0]:
            best = (history[-1], codebook, scales)
        if progress is not None:
            progress(epoch + 1, n_epochs)
    return AdamResult(best[1], best[2], tuple(history))
