"""Indexes of FAISS and ours over the same synthetic features, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from anybit.codes import Codebooks, Codes
from anybit.errors import DependencyError
from anybit.search import Index
from anybit.types import Float32Array, Int64Array

__all__ = ["DIM", "World", "load_faiss"]

DIM = 128


def load_faiss() -> Any:
    """Return the module, on one thread, or say how to get it."""
    try:
        faiss = import_module("faiss")
    except ImportError as cause:
        raise DependencyError("this benchmark needs FAISS: pip install 'anybit[faiss]'.") from cause
    faiss.omp_set_num_threads(1)
    return faiss


class World:
    """Features in tight clusters, and the indexes over them.

    Both sides search the same codes where they can: codebooks are trained by FAISS.
    """

    def __init__(self) -> None:
        self.faiss = load_faiss()
        self.train, self.queries = _features(20_000, 1), _features(64, 2)
        self._kept: dict[tuple[Any, ...], Any] = {}

    def simd_levels(self) -> dict[str, Callable[[], None]]:
        """Return what sets each instruction set that FAISS can use here, by its name."""
        config = getattr(self.faiss, "SIMDConfig", None)
        if config is None:  # of an older release: the processor's best
            return {"best": lambda: None}
        levels: dict[str, Callable[[], None]] = {}
        for name in ("AVX2", "AVX512", "AVX512_SPR", "ARM_NEON", "ARM_SVE"):
            number = getattr(self.faiss, f"SIMDLevel_{name}", None)
            if number is not None and config.is_simd_level_available(number):
                levels[name] = partial(config.set_level, number)
        return levels or {"best": lambda: None}

    def kept(self, *key: Any) -> Any:
        """Make or return ``self._<key[0]>(*key[1:])``."""
        if key not in self._kept:
            self._kept[key] = getattr(self, f"_{key[0]}")(*key[1:])
        return self._kept[key]

    def nearest(self, n_items: int, k: int) -> Int64Array:
        """Return the true best items of every query by float features, (Q, k)."""
        best: Int64Array = self.kept("exact", n_items, k)
        return best

    def _items(self, n_items: int) -> Float32Array:
        return _features(n_items, 3)

    def _exact(self, n_items: int, k: int) -> Int64Array:
        index = self.faiss.IndexFlatIP(DIM)
        index.add(self.kept("items", n_items))
        found: Int64Array = index.search(self.queries, k)[1]
        return found

    def _residual(self, n_levels: int, n_bits: int) -> tuple[Any, Codebooks]:
        quantizer = self.faiss.ResidualQuantizer(DIM, n_levels, n_bits)
        quantizer.train_type = self.faiss.ResidualQuantizer.Train_default
        quantizer.max_beam_size = 1
        quantizer.train(self.train)
        values = self.faiss.vector_to_array(quantizer.codebooks).reshape(n_levels, -1, DIM)
        return quantizer, Codebooks.stacked(values)

    def _product(self, n_levels: int) -> tuple[Any, Codebooks]:
        quantizer = self.faiss.ProductQuantizer(DIM, n_levels, 8)
        quantizer.train(self.train)
        values = self.faiss.vector_to_array(quantizer.centroids).reshape(n_levels, 256, -1)
        return quantizer, Codebooks.product(values)

    def _residual_codes(self, n_levels: int, n_bits: int, n_items: int) -> Codes:
        quantizer, _ = self.kept("residual", n_levels, n_bits)
        packed = quantizer.compute_codes(self.kept("items", n_items))
        # FAISS puts the first level into the lowest bits, we into the highest.
        if n_bits == 8:
            return Codes.unpack(packed, n_levels)
        halves = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(packed), -1)
        return Codes.from_rows(halves[:, :n_levels], 2**n_bits)

    def _ours(self, n_levels: int, n_bits: int, n_items: int) -> Index:
        _, codebooks = self.kept("residual", n_levels, n_bits)
        return Index(codebooks, self.kept("residual_codes", n_levels, n_bits, n_items))

    def _ours_product(self, n_levels: int, n_items: int) -> Index:
        quantizer, codebooks = self.kept("product", n_levels)
        codes = quantizer.compute_codes(self.kept("items", n_items))
        return Index(codebooks, Codes.unpack(codes, n_levels))

    def _ours_binary(self, bits: int, n_items: int) -> Index:
        rng = np.random.default_rng(8)
        values = rng.standard_normal((bits, 2, DIM // bits)).astype(np.float32)
        planes = rng.integers(0, 2, (bits, n_items), dtype=np.uint8)
        return Index(Codebooks.product(values), Codes(planes, 2))

    def _fast_scan(self, n_levels: int, n_items: int) -> Any:
        index = self.faiss.IndexPQFastScan(DIM, n_levels, 4, self.faiss.METRIC_INNER_PRODUCT)
        index.train(self.train)
        index.add(self.kept("items", n_items))
        return index

    def _pq(self, n_levels: int, n_items: int) -> Any:
        index = self.faiss.IndexPQ(DIM, n_levels, 8, self.faiss.METRIC_INNER_PRODUCT)
        index.train(self.train)
        index.add(self.kept("items", n_items))
        return index

    def _rq(self, n_levels: int, n_bits: int, n_items: int) -> Any:
        faiss = self.faiss
        index = faiss.IndexResidualQuantizer(
            DIM,
            n_levels,
            n_bits,
            faiss.METRIC_INNER_PRODUCT,
            faiss.AdditiveQuantizer.ST_LUT_nonorm,
        )
        quantizer, codebooks = self.kept("residual", n_levels, n_bits)
        faiss.copy_array_to_vector(codebooks.codebooks.ravel(), index.rq.codebooks)
        index.rq.is_trained = index.is_trained = True
        index.rq.compute_codebook_tables()
        index.add_sa_codes(quantizer.compute_codes(self.kept("items", n_items)))
        return index

    def _rq_fast_scan(self, n_levels: int, n_items: int) -> Any:
        return self.faiss.IndexAdditiveQuantizerFastScan(self.kept("rq", n_levels, 4, n_items), 32)

    def _binary(self, bits: int, n_items: int) -> Any:
        index = self.faiss.IndexBinaryFlat(bits)
        index.add(np.random.default_rng(4).integers(0, 256, (n_items, bits // 8)).astype(np.uint8))
        return index


def _features(n_items: int, seed: int) -> Float32Array:
    """Return unit vectors (N, 128) around 1,000 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((1000, DIM))
    x = centres[rng.integers(1000, size=n_items)] + 0.7 * rng.standard_normal((n_items, DIM))
    unit: Float32Array = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return unit
