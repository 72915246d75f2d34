"""What a fit on fixed features reports, the same for every method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codebooks
from anybit.types import Float32Array

__all__ = ["FitResult", "LevelReport", "report_levels"]

_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class FitResult:
    """Codebooks learned from fixed features, and how well they describe them.

    Parameters
    ----------
    codebooks : Codebooks
    distortion_per_level : ndarray of shape (M,), float64
        Mean squared error per training vector of the codes cut to 1, 2, ... M levels, summed
        over D.
    usage_per_level : ndarray of shape (M,), float64
        Share of the K codewords that at least one training vector uses at that level.
    perplexity_per_level : ndarray of shape (M,), float64
        Exponential of the entropy of the codes of a level: K when all are used alike.
    n_revived : int
        How often a codeword that nothing used was moved to a badly described vector.
    history : tuple of float
        Training objective after each pass, the start included; where prefixes are fitted together
        it may rise, and the best pass is kept.
    warnings : tuple of str
        Symptoms that a person should know, such as a level scale near zero or below.
    """

    codebooks: Codebooks
    distortion_per_level: NDArray[np.float64]
    usage_per_level: NDArray[np.float64]
    perplexity_per_level: NDArray[np.float64]
    n_revived: int
    history: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        codebooks: Codebooks,
        features: Float32Array,
        history: Iterable[float],
        n_revived: int = 0,
        warnings: tuple[str, ...] = (),
    ) -> FitResult:
        """Measure codebooks on vectors (N, D)."""
        report = report_levels(codebooks, features)
        levels = (report.distortions, report.usages, report.perplexities)
        return cls(codebooks, *levels, n_revived, tuple(history), warnings)


@dataclass(frozen=True)
class LevelReport:
    """Distortion, usage and perplexity per level, each (M,) float64; see `FitResult`."""

    distortions: NDArray[np.float64]
    usages: NDArray[np.float64]
    perplexities: NDArray[np.float64]


def report_levels(codebooks: Codebooks, features: Float32Array) -> LevelReport:
    """Encode vectors with stacked or shared codebooks and measure every prefix.

    Parameters
    ----------
    codebooks : Codebooks
    features : ndarray of shape (N, D), float32

    Returns
    -------
    LevelReport
    """
    dense = codebooks.dense()  # (M, K, D)
    n_levels, n_codewords = dense.shape[:2]
    totals = np.zeros(n_levels)
    counts = np.zeros((n_levels, n_codewords))
    for start in range(0, len(features), _BLOCK_ROWS):
        block = features[start : start + _BLOCK_ROWS]
        residual = block - (0 if codebooks.offset is None else codebooks.offset)  # (n, D)
        for level, plane in enumerate(codebooks.encode(block).planes):
            residual -= dense[level][plane]
            totals[level] += np.einsum("nd,nd->n", residual, residual).sum(dtype=np.float64)
            counts[level] += np.bincount(plane, minlength=n_codewords)
    shares = counts / len(features)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return LevelReport(
        totals / len(features), (counts > 0).mean(axis=1), np.exp(-(shares * logs).sum(axis=1))
    )
