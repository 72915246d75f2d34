"""Codebooks and codes as an index of FAISS, and an index of FAISS as codebooks and codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from anybit.codes import Codebooks, Codes, bits_per_level
from anybit.errors import (
    DependencyError,
    DTypeError,
    FormatError,
    NotTrainedError,
    OptionError,
    ShapeError,
)
from anybit.types import Float32Array, Int64Array, Metric, UInt8Array

__all__ = ["IndexContent", "content_of_index", "faiss_index", "load_faiss"]

_SUPPORTED = (
    "an IndexResidualQuantizer, an IndexPQ or an IndexPreTransform of one orthogonal matrix and an "
    "IndexPQ, each also inside an IndexIDMap"
)
_BIAS = (
    "an IndexPreTransform under inner product must have no bias, got one. Train it again by OPQ."
)
# Float32 products of orthonormal rows as FAISS learns them differ from 0 and 1 by about 1e-6.
_ORTHOGONAL_WITHIN = 1e-3
_NORM_BYTES = 4


@dataclass(frozen=True, eq=False)
class IndexContent:
    """What an index of FAISS holds.

    Parameters
    ----------
    codebooks : Codebooks
        Stacked or product, without offset.
    codes : Codes
    ids : ndarray of shape (N,), int64
        0..N-1 where the index has none of its own.
    """

    codebooks: Codebooks
    codes: Codes
    ids: Int64Array


def load_faiss() -> Any:
    """Return the module, or say how to get it."""
    try:
        import faiss
    except ImportError as cause:
        raise DependencyError("this needs FAISS: pip install 'anybit[faiss]'.") from cause
    return faiss


def faiss_index(
    codebooks: Codebooks, codes: Codes | None = None, ids: Int64Array | None = None
) -> Any:
    """Make an index of FAISS that ranks as the codebooks do.

    Parameters
    ----------
    codebooks : Codebooks
        Of metric ip or l2.
    codes : Codes, optional
        The items, with as many levels as the index shall have; without them it is trained and
        empty.
    ids : ndarray of shape (N,), int64, optional
        Wraps the index in an ``IndexIDMap2``.

    Returns
    -------
    faiss.Index
        An ``IndexResidualQuantizer`` of shared and stacked codebooks; an ``IndexPQ`` of product
        codebooks, behind a ``LinearTransform`` in an ``IndexPreTransform`` where they are rotated.

    Raises
    ------
    OptionError
        If the metric is the cosine.
    DependencyError
        If FAISS is missing.

    Notes
    -----
    Level scales are multiplied in. The offset is added to the codewords of the first level, or its
    parts to those of their subspaces, so that scores and reconstructions are the same as ours.
    Under l2 the squared length of a sum of codewords is stored beside its code, four bytes more
    an item.
    """
    faiss = load_faiss()
    if codebooks.metric == "cosine":
        raise OptionError(
            "the metric must be ip or l2 for FAISS, got cosine: it has no index of codes that "
            "divides by the lengths of reconstructions. Export npy, or train with another metric."
        )
    if codes is not None and codes.n_levels < codebooks.n_levels:
        codebooks = codebooks.cut(codes.bits)
    codebooks = codebooks.folded()
    make = _product if codebooks.has_subspaces else _sum
    inner = make(faiss, codebooks)
    index, wrapped = inner, []
    if codebooks.rotation is not None:
        index = faiss.IndexPreTransform(_transform(faiss, codebooks.rotation), inner)
        wrapped.append(index)
    if ids is not None:
        index = faiss.IndexIDMap2(index)
        wrapped.append(index)
    if codes is not None:
        inner.add_sa_codes(_packed(codebooks, codes))
        for outer in wrapped:  # a transform cannot pass codes on
            outer.ntotal = codes.n_items
    if ids is not None:
        faiss.copy_array_to_vector(np.ascontiguousarray(ids, dtype=np.int64), index.id_map)
        index.construct_rev_map()
    return index


def _product(faiss: Any, codebooks: Codebooks) -> Any:
    """Return an empty ``IndexPQ``."""
    n_bits = bits_per_level(codebooks.n_codewords)
    metric = _metric_number(faiss, codebooks.metric)
    index = faiss.IndexPQ(codebooks.dim, codebooks.n_levels, n_bits, metric)
    faiss.copy_array_to_vector(codebooks.codebooks.ravel(), index.pq.centroids)
    index.is_trained = True
    return index


def _sum(faiss: Any, codebooks: Codebooks) -> Any:
    """Return an empty ``IndexResidualQuantizer``."""
    n_bits = bits_per_level(codebooks.n_codewords)
    metric = _metric_number(faiss, codebooks.metric)
    kinds = faiss.AdditiveQuantizer
    kind = kinds.ST_LUT_nonorm if codebooks.metric == "ip" else kinds.ST_norm_float
    index = faiss.IndexResidualQuantizer(codebooks.dim, codebooks.n_levels, n_bits, metric, kind)
    faiss.copy_array_to_vector(codebooks.codebooks.ravel(), index.rq.codebooks)
    # Tables of all pairs of codewords serve FAISS's own encoding by beams; 64 levels take 0.5 GB.
    index.rq.train_type |= faiss.ResidualQuantizer.Skip_codebook_tables
    index.rq.max_beam_size = 1  # what is added there is encoded level by level
    index.rq.is_trained = index.is_trained = True
    return index


def _transform(faiss: Any, rotation: Float32Array) -> Any:
    """Return the transform of x to ``x @ rotation``, which FAISS writes as ``A x``."""
    transform = faiss.LinearTransform(len(rotation), len(rotation), False)
    faiss.copy_array_to_vector(np.ascontiguousarray(rotation.T).ravel(), transform.A)
    transform.is_trained = True
    transform.set_is_orthonormal()
    return transform


def _packed(codebooks: Codebooks, codes: Codes) -> UInt8Array:
    """Put codes into bytes (N, B) as FAISS does: the first level in the lowest bits.

    Under l2 the squared norm of a sum follows at the next bit, a float of 32 bits.
    """
    width = bits_per_level(codes.n_codewords)
    fields = [(plane, width) for plane in codes.planes]
    if codebooks.metric == "l2" and not codebooks.has_subspaces:
        norms = codebooks.sq_norms(codes).astype("<f4")[:, None].view(np.uint8)  # (N, 4)
        fields += [(norms[:, byte], 8) for byte in range(_NORM_BYTES)]
    n_bits = sum(width for _, width in fields)
    packed = np.zeros((codes.n_items, (n_bits + 7) // 8), dtype=np.uint8)
    start = 0
    for values, width in fields:
        byte, shift = divmod(start, 8)
        word = values.astype(np.uint16) << np.uint16(shift)  # (N,)
        packed[:, byte] |= (word & 255).astype(np.uint8)
        if shift + width > 8:
            packed[:, byte + 1] |= (word >> 8).astype(np.uint8)
        start += width
    return packed


def _unpacked(packed: UInt8Array, n_levels: int, width: int) -> Codes:
    """Undo `_packed`."""
    planes = np.empty((n_levels, len(packed)), dtype=np.uint8)
    for level in range(n_levels):
        byte, shift = divmod(level * width, 8)
        word = packed[:, byte].astype(np.uint16)  # (N,)
        if shift + width > 8:
            word |= packed[:, byte + 1].astype(np.uint16) << np.uint16(8)
        planes[level] = (word >> np.uint16(shift)) & np.uint16((1 << width) - 1)
    return Codes(planes, 1 << width)


def content_of_index(index: Any) -> IndexContent:
    """Take codebooks, codes, ids and metric out of an index of FAISS.

    Parameters
    ----------
    index : faiss.Index
        An ``IndexResidualQuantizer``, an ``IndexPQ``, or an ``IndexPreTransform`` of one orthogonal
        matrix and an ``IndexPQ``; each also inside an ``IndexIDMap`` or ``IndexIDMap2``.

    Returns
    -------
    IndexContent
        Ranks as the index does. Norms that FAISS keeps in few bits are made anew, in full.

    Raises
    ------
    FormatError
        If the index is of another type, has levels of different bits or of more than 8, compares
        in a way of its own, or its parts do not fit together.
    NotTrainedError
        If it has no codebooks yet.
    """
    faiss = load_faiss()
    ids: Int64Array | None = None
    transform: tuple[Float32Array, Float32Array] | None = None
    inner, names = faiss.downcast_index(index), []
    while True:
        names.append(type(inner).__name__)
        if isinstance(inner, faiss.IndexIDMap) and ids is None:
            ids = faiss.vector_to_array(inner.id_map)
        elif type(inner) is faiss.IndexPreTransform and transform is None:
            transform = _matrix_of(faiss, inner)
        else:
            break
        inner = faiss.downcast_index(inner.index)
    if not inner.is_trained:
        raise NotTrainedError(f"{_nested(names)} must be trained, got one that is not.")
    try:
        if type(inner) is faiss.IndexPQ:
            codebooks = _product_codebooks(faiss, inner, transform)
        elif type(inner) is faiss.IndexResidualQuantizer and transform is None:
            codebooks = _sum_codebooks(faiss, inner)
        else:
            raise FormatError(f"an index of FAISS must be {_SUPPORTED}, got {_nested(names)}.")
    except (OptionError, ShapeError, DTypeError) as cause:
        raise FormatError(f"{_nested(names)} does not hold usable codebooks: {cause}") from cause
    n_items = int(inner.ntotal)
    packed = _shaped(faiss, inner.codes, "codes", (n_items, int(inner.code_size)))
    codes = _unpacked(packed, codebooks.n_levels, bits_per_level(codebooks.n_codewords))
    if ids is None:
        ids = np.arange(n_items, dtype=np.int64)
    if len(ids) != n_items:
        raise FormatError(f"an id map of FAISS must have {n_items} ids, got {len(ids)}.")
    return IndexContent(codebooks, codes, ids)


def _product_codebooks(
    faiss: Any, index: Any, transform: tuple[Float32Array, Float32Array] | None
) -> Codebooks:
    if index.search_type != faiss.IndexPQ.ST_PQ:
        raise FormatError(
            f"an IndexPQ must compare by ST_PQ, got its search type {index.search_type}. "
            "Set index.search_type = faiss.IndexPQ.ST_PQ and write it again."
        )
    metric = _metric_of(faiss, index)
    quantizer = index.pq
    n_codewords = 1 << _width_of([int(quantizer.nbits)])
    shape = (int(quantizer.M), n_codewords, int(quantizer.dsub))
    values = _shaped(faiss, quantizer.centroids, "codewords", shape)
    if transform is None:
        return Codebooks.product(values, metric=metric)
    matrix, bias = transform
    if metric == "ip" and bias.any():
        raise FormatError(_BIAS)
    # |A x + b - c| = |A x - (c - b)|
    values = values - bias.reshape(len(values), 1, -1)
    return Codebooks.product(values, rotation=np.ascontiguousarray(matrix.T), metric=metric)


def _sum_codebooks(faiss: Any, index: Any) -> Codebooks:
    metric = _metric_of(faiss, index)
    quantizer = index.rq
    if metric == "l2" and quantizer.search_type == faiss.AdditiveQuantizer.ST_LUT_nonorm:
        raise FormatError(
            "an IndexResidualQuantizer under L2 must compare with norms or decompressed, got the "
            "search type ST_LUT_nonorm. Build it as 'RQ8x8' or 'RQ8x8_Nfloat'."
        )
    n_codewords = 1 << _width_of(faiss.vector_to_array(quantizer.nbits).tolist())
    shape = (int(quantizer.M), n_codewords, int(quantizer.d))
    values = _shaped(faiss, quantizer.codebooks, "codewords", shape)
    return Codebooks.stacked(values, metric=metric)


def _matrix_of(faiss: Any, index: Any) -> tuple[Float32Array, Float32Array]:
    """Return A (D, D) and b (D,) of the one transform ``A x + b`` before an index."""
    chain = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
    dims = [(int(one.d_in), int(one.d_out)) for one in chain]
    is_linear = len(chain) == 1 and isinstance(chain[0], faiss.LinearTransform)
    if not is_linear or dims[0][0] != dims[0][1]:
        found = ", ".join(
            f"{type(one).__name__} of {d_in} to {d_out} dimensions"
            for one, (d_in, d_out) in zip(chain, dims, strict=True)
        )
        raise FormatError(
            "an IndexPreTransform must have one linear transform that keeps the number of "
            f"dimensions, such as OPQ, got {found or 'none'}."
        )
    transform, dim = chain[0], dims[0][0]
    matrix: Float32Array = _shaped(faiss, transform.A, "the matrix", (dim, dim))
    off = np.abs(matrix @ matrix.T - np.eye(dim, dtype=np.float32)).max()
    if not off < _ORTHOGONAL_WITHIN:
        raise FormatError(
            f"the matrix of an IndexPreTransform must be orthogonal, got A A' that is {off:.2g} "
            "away from the identity. Train it by OPQ, or rotate at random ('RR')."
        )
    bias = np.zeros(dim, dtype=np.float32)
    if transform.have_bias:
        bias = _shaped(faiss, transform.b, "the bias", (dim,))
    return matrix, bias


def _metric_of(faiss: Any, index: Any) -> Metric:
    if index.metric_type == faiss.METRIC_INNER_PRODUCT:
        return "ip"
    if index.metric_type == faiss.METRIC_L2:
        return "l2"
    raise FormatError(
        "an index of FAISS must compare by inner product or L2, got its metric "
        f"{index.metric_type}."
    )


def _metric_number(faiss: Any, metric: Metric) -> int:
    return int(faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2)


def _width_of(bits: list[int]) -> int:
    """Return the bits that every level has, or raise FormatError."""
    if len(set(bits)) != 1 or not 1 <= bits[0] <= 8:
        raise FormatError(
            "every level of an index of FAISS must have the same number of bits, from 1 to 8, "
            f"got {', '.join(map(str, bits)) or 'none'}."
        )
    return bits[0]


def _shaped(faiss: Any, vector: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Copy one of FAISS's vectors into an array of this shape, or raise FormatError."""
    values = faiss.vector_to_array(vector)
    if values.size != np.prod(shape, dtype=np.int64):
        raise FormatError(
            f"{name} of an index of FAISS must have shape {shape}, got {values.size} values."
        )
    return values.reshape(shape)


def _nested(names: list[str]) -> str:
    """Write the types of an index and of those in it, as ``IndexIDMap(IndexFlat)``."""
    return "(".join(names) + ")" * (len(names) - 1)
