"""Table 4 of DRQ: how many numbers the codebooks of each method hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anybit.bench import environment
from anybit.codes import Codebooks
from anybit.errors import OptionError
from anybit.papers.results.published import published
from anybit.papers.results.result import ArtefactResult, ResultRow
from anybit.papers.results.seeded import Seeded

__all__ = ["CodebookSize", "codebook_size", "parameters_result"]

DIM = 2048
N_CODEWORDS = 256
_BITS_PER_LEVEL = 8


@dataclass(frozen=True)
class CodebookSize:
    """What the codebooks of a method take up.

    Parameters
    ----------
    method : str
    n_levels : int
        Levels, or subspaces, M.
    dim : int
        Dimension D of the vectors.
    n_parameters : int
        Numbers in all arrays that are stored with the codebooks.
    n_parameters_by_formula : int
        The same by the formula of the paper, for vectors of `dim`.
    n_bytes : int
        Of those arrays in memory.
    """

    method: str
    n_levels: int
    dim: int
    n_parameters: int
    n_parameters_by_formula: int
    n_bytes: int


@dataclass(frozen=True)
class _Method:
    """How codebooks are made, and counted by formula, from M, K and D."""

    make: Callable[[int, int, int], Codebooks]
    formula: Callable[[int, int, int], int]
    is_product: bool = False
    row_of_paper: str | None = None


def _zeros(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.zeros(shape, dtype=np.float32)


def _product(m: int, k: int, d: int) -> Codebooks:
    return Codebooks.product(_zeros(m, k, d // m))


def _rotated_product(m: int, k: int, d: int) -> Codebooks:
    return Codebooks.product(_zeros(m, k, d // m), rotation=np.eye(d, dtype=np.float32))


def _shared(m: int, k: int, d: int) -> Codebooks:
    return Codebooks.shared(_zeros(k, d), np.ones(m, dtype=np.float32))


def _shared_with_offset(m: int, k: int, d: int) -> Codebooks:
    return Codebooks.shared(_zeros(k, d), np.ones(m, dtype=np.float32), offset=_zeros(d))


_METHODS: dict[str, _Method] = {
    "PQ": _Method(_product, lambda m, k, d: k * d, True, "PQ (PQNet)"),
    "OPQ": _Method(_rotated_product, lambda m, k, d: k * d + d * d, True, "OPQ"),
    "AQ": _Method(
        lambda m, k, d: Codebooks.stacked(_zeros(m, k, d)),
        lambda m, k, d: m * k * d,
        row_of_paper="AQ (DTQ)",
    ),
    "DRQ": _Method(_shared, lambda m, k, d: k * d + m, row_of_paper="DRQ"),
    "DRQ with offset": _Method(_shared_with_offset, lambda m, k, d: k * d + m + d),
    "independent codebooks with offset": _Method(
        lambda m, k, d: Codebooks.stacked(_zeros(m, k, d), offset=_zeros(d)),
        lambda m, k, d: m * k * d + d,
    ),
}


def codebook_size(
    method: str, n_levels: int, dim: int = DIM, n_codewords: int = N_CODEWORDS
) -> CodebookSize:
    """Count the numbers of a method's codebooks, array by array.

    Parameters
    ----------
    method : str
        ``PQ``, ``OPQ``, ``AQ``, ``DRQ``, ``DRQ with offset`` or ``independent codebooks with
        offset``.
    n_levels : int
        Levels, or subspaces, M.
    dim : int
        Dimension D of the vectors. Subspaces are of equal width here, so that of PQ and OPQ is
        rounded up to a multiple of M.
    n_codewords : int
        Codewords K of a level.

    Returns
    -------
    CodebookSize

    Raises
    ------
    OptionError
        If the method is not one of these, or a number is below 1.

    Notes
    -----
    What is counted are the arrays of a `Codebooks` of that size, as they are stored.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    Table 4. They do not count the scales of the levels.

    Examples
    --------
    >>> codebook_size("AQ", 4).n_parameters
    2097152
    >>> codebook_size("DRQ", 4).n_parameters
    524292
    """
    if method not in _METHODS:
        raise OptionError(f"method must be one of {', '.join(_METHODS)}, got {method!r}.")
    if n_levels < 1 or dim < 1:
        raise OptionError(f"n_levels and dim must be at least 1, got {n_levels} and {dim}.")
    chosen = _METHODS[method]
    width = -(-dim // n_levels) * n_levels if chosen.is_product else dim
    arrays, _ = chosen.make(n_levels, n_codewords, width).to_tensors()
    return CodebookSize(
        method,
        n_levels,
        width,
        sum(array.size for array in arrays.values()),
        chosen.formula(n_levels, n_codewords, width),
        sum(array.nbytes for array in arrays.values()),
    )


def parameters_result() -> ArtefactResult:
    """Count Table 4 again: our numbers beside the paper's, formulas and bytes below them.

    Returns
    -------
    ArtefactResult
        ``drq-table4``, at the paper's D = 2048 and K = 256. A row's companions are the count by
        formula and the bytes as float32.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    Table 4.
    """
    table, told = published("drq-table4"), environment(("numpy",))
    rows: list[ResultRow] = []
    rounded: dict[int, int] = {}
    for name, method in _METHODS.items():
        sizes = [codebook_size(name, bits // _BITS_PER_LEVEL) for bits in table.bits]
        rounded |= {size.n_levels: size.dim for size in sizes if size.dim != DIM}
        rows.append(
            ResultRow(
                name,
                tuple(Seeded.of([size.n_parameters]) for size in sizes),
                table.methods[method.row_of_paper] if method.row_of_paper else None,
                {"D": DIM, "K": N_CODEWORDS, "arrays": "float32"},
                {
                    "formula": tuple(Seeded.of([size.n_parameters_by_formula]) for size in sizes),
                    "bytes": tuple(Seeded.of([size.n_bytes]) for size in sizes),
                },
            )
        )
    widths = ", ".join(f"{dim} for {n_levels}" for n_levels, dim in sorted(rounded.items()))
    return ArtefactResult(
        name="drq-table4",
        title="Parameters of the codebooks by code length (DRQ, Table 4)",
        kind="table",
        rows=tuple(rows),
        bits=table.bits,
        metric="number of parameters: size of all arrays stored with the codebooks",
        notes=(
            *table.notes,
            f"Subspaces of PQ and OPQ are of equal width here, and {DIM} is no multiple of 3, 5 "
            f"and 6: D is rounded up to {widths} subspaces.",
            "The scale of level 1 is always 1; it is stored, and counted.",
            "With offset: preset anybit takes the mean off the vectors before they are quantised.",
            "Independent codebooks are those of AQ; anybit's own (method rq) hold an offset, too.",
        ),
        command=told["command"],
        commit=told["commit"],
        machine=told["machine"],
        versions=told["versions"],
    )
