"""What a fit on fixed features reports, the same for every method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codebooks, FeatureMap
from anybit.quantizers.features import distinct_rows
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
    feature_map : FeatureMap or None
        From the vectors to the features that the codebooks describe, and that the figures above
        are of; None where these are the vectors themselves.
    """

    codebooks: Codebooks
    distortion_per_level: NDArray[np.float64]
    usage_per_level: NDArray[np.float64]
    perplexity_per_level: NDArray[np.float64]
    n_revived: int
    history: tuple[float, ...]
    warnings: tuple[str, ...] = ()
    feature_map: FeatureMap | None = None

    @classmethod
    def of(
        cls,
        codebooks: Codebooks,
        features: Float32Array,
        history: Iterable[float],
        n_revived: int = 0,
        symptoms: Mapping[int, str] | None = None,
        feature_map: FeatureMap | None = None,
    ) -> FitResult:
        """Measure codebooks on features (N, D), those that a feature map gave where there is one.

        `symptoms` of levels become warnings, except where a level has nothing left to describe.
        """
        report = report_levels(codebooks, features)
        levels = (report.distortions, report.usages, report.perplexities)
        idle, texts = _idle_levels(codebooks, features, report)
        texts += [text for level, text in (symptoms or {}).items() if level not in idle]
        return cls(codebooks, *levels, n_revived, tuple(history), tuple(texts), feature_map)


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


def _idle_levels(
    codebooks: Codebooks, features: Float32Array, report: LevelReport
) -> tuple[set[int], list[str]]:
    """Return the levels that carry no information, and what a person should know of them."""
    n_levels, n_codewords = codebooks.n_levels, codebooks.n_codewords
    idle = set(np.flatnonzero(report.perplexities <= 1).tolist())
    if codebooks.has_subspaces:
        if not idle:
            return idle, []
        return idle, [
            f"{_numbered('subspace', idle)} of {n_levels}: the columns hold the same values in all "
            "training vectors, and the codes no information. Leave those columns out."
        ]
    is_exact = report.distortions <= _rounding(codebooks, features)
    n_needed = int(np.argmax(is_exact)) + 1 if is_exact.any() else n_levels
    if n_needed < n_levels:
        idle = set(range(n_needed, n_levels))
    if n_needed == n_levels and not idle and (report.usages == 1).all():
        return idle, []
    distinct = distinct_rows(features, n_codewords - 1)
    texts = []
    if distinct is not None:
        vectors = "distinct vector" if len(distinct) == 1 else "distinct vectors"
        texts.append(
            f"the training data have {len(distinct)} {vectors} (in float32) for {n_codewords} "
            "codewords a level: not all codewords are used. Ask for fewer codewords, or give "
            "more different vectors."
        )
    if n_needed < n_levels:
        described = "level 1 describes" if n_needed == 1 else f"levels 1 to {n_needed} describe"
        texts.append(
            f"{described} the training vectors exactly: {_numbered('level', idle)} of {n_levels} "
            f"add no information. Ask for fewer bits: {n_needed} of {n_levels} levels."
        )
    elif idle:
        texts.append(
            f"{_numbered('level', idle)} of {n_levels} give all training vectors the same code "
            "and add no information. Ask for fewer bits, or another method."
        )
    return idle, texts


def _rounding(codebooks: Codebooks, features: Float32Array) -> float:
    """Return the mean squared error that is float32 rounding of vectors and of codewords."""
    offset = np.float32(0) if codebooks.offset is None else codebooks.offset
    means = []
    for values in (features, features - offset):
        means.append(float(np.einsum("nd,nd->n", values, values).mean(dtype=np.float64)))
    return 2.0**-47 * means[0] + 1e-12 * means[1]


def _numbered(noun: str, places: set[int]) -> str:
    """Name levels as a person counts them, such as "level 2" or "levels 2, 3"."""
    shown = ", ".join(str(place + 1) for place in sorted(places))
    return f"{noun} {shown}" if len(places) == 1 else f"{noun}s {shown}"
