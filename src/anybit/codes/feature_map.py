"""Learned maps from a vector to the feature that is encoded: stored and applied without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anybit.codes.checks import finite_array
from anybit.errors import DataError, DTypeError, FormatError, OptionError, ShapeError
from anybit.types import Float32Array, Int64Array

__all__ = ["FeatureMap"]

Tensors = dict[str, NDArray[Any]]
Settings = dict[str, Any]

# Numbers of the largest array that a block of vectors makes: 8 MiB of float64.
_BLOCK_NUMBERS = 1 << 20
# Of a vector or a feature, where no array says how many there are.
_MOST_VALUES = 1 << 24


class FeatureMap(ABC):
    """A map from vectors (N, D_in) to the features (N, D_out) that codebooks encode.

    Make one with `identity`, `linear`, `anchors` or `trees`. The feature of a vector does not
    depend on the vectors beside it: it is computed in float64, each by itself, and rounded to
    float32 once.

    Attributes
    ----------
    kind : str
        Name in the settings of a model.
    """

    kind: ClassVar[str]

    @staticmethod
    def identity(dim: int) -> FeatureMap:
        """Return the map that leaves vectors of `dim` values as they are."""
        return _Identity(dim)

    @staticmethod
    def linear(mean: Float32Array, weights: Float32Array) -> FeatureMap:
        """Return ``(x - mean) @ weights``.

        Parameters
        ----------
        mean : ndarray of shape (D_in,), float32
        weights : ndarray of shape (D_in, D_out), float32

        Examples
        --------
        >>> turned = FeatureMap.linear(np.array([1, 0]), np.array([[0, 1], [1, 0]]))
        >>> turned.apply(np.array([[3, 5]], dtype=np.float32))
        array([[5., 2.]], dtype=float32)
        """
        return _Linear(mean, weights)

    @staticmethod
    def anchors(
        anchors: Float32Array, width: float, mean: Float32Array, weights: Float32Array
    ) -> FeatureMap:
        """Return ``(k(x) - mean) @ weights`` with ``k_a(x) = exp(-|x - anchor_a|^2 / 2 width^2)``.

        Parameters
        ----------
        anchors : ndarray of shape (A, D_in), float32
        width : float
            Above 0.
        mean : ndarray of shape (A,), float32
        weights : ndarray of shape (A, D_out), float32

        References
        ----------
        Liu et al., "Supervised hashing with kernels", CVPR 2012, section 3.1.
        """
        return _Anchors(anchors, width, mean, weights)

    @staticmethod
    def trees(
        nodes: Int64Array,
        thresholds: Float32Array,
        values: Float32Array,
        roots: Int64Array,
        outputs: Int64Array,
        *,
        dim_in: int,
        dim_out: int,
    ) -> FeatureMap:
        """Return sums of regression trees, any number of them for each output.

        A vector goes from a root to the left while ``x[feature] <= threshold``, else to the right;
        the leaf's value is added to the tree's output.

        Parameters
        ----------
        nodes : ndarray of shape (P, 3), int64
            Feature, left node and right node; -1 three times for a leaf. Children come after
            their parent.
        thresholds : ndarray of shape (P,), float32
            Leaves ignore theirs.
        values : ndarray of shape (P,), float32
            Inner nodes ignore theirs.
        roots : ndarray of shape (T,), int64
            First node of each tree.
        outputs : ndarray of shape (T,), int64
            Output that the tree adds to.
        dim_in, dim_out : int

        Examples
        --------
        >>> stump = FeatureMap.trees(
        ...     nodes=np.array([[0, 1, 2], [-1, -1, -1], [-1, -1, -1]]),
        ...     thresholds=np.array([0.5, 0, 0]),
        ...     values=np.array([0, -1, 1]),
        ...     roots=np.array([0]),
        ...     outputs=np.array([0]),
        ...     dim_in=2,
        ...     dim_out=1,
        ... )
        >>> stump.apply(np.array([[0, 9], [1, 9]], dtype=np.float32))
        array([[-1.],
               [ 1.]], dtype=float32)
        """
        return _Trees(nodes, thresholds, values, roots, outputs, dim_in, dim_out)

    @property
    @abstractmethod
    def dim_in(self) -> int:
        """Dimension D_in of the vectors."""

    @property
    @abstractmethod
    def dim_out(self) -> int:
        """Dimension D_out of the features."""

    @property
    @abstractmethod
    def _numbers_per_row(self) -> int:
        """Numbers that one vector needs in the largest array made by `_mapped`."""

    @abstractmethod
    def _mapped(self, block: Float32Array) -> NDArray[np.floating]:
        """Map contiguous, finite vectors (n, D_in) to features (n, D_out)."""

    @abstractmethod
    def to_tensors(self) -> tuple[Tensors, Settings]:
        """Return the arrays by name, and the plain settings, to be stored."""

    def apply(self, vectors: Float32Array) -> Float32Array:
        """Map vectors to features.

        Parameters
        ----------
        vectors : ndarray of shape (N, D_in), numbers

        Returns
        -------
        ndarray of shape (N, D_out), float32

        Raises
        ------
        ShapeError
            If `vectors` is not (N, D_in).
        DTypeError
            If it does not hold real numbers.
        DataError
            If a vector holds NaN or infinity, or its feature has no room in float32.
        """
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim_in:
            raise ShapeError(
                f"vectors must have shape (N, {self.dim_in}), got {vectors.shape}. "
                "Use vectors of the kind that the model was trained on."
            )
        if vectors.dtype.kind not in "fiu":
            raise DTypeError(f"vectors must be numbers, got {vectors.dtype}.")
        features = np.empty((len(vectors), self.dim_out), dtype=np.float32)
        n_rows = max(1, _BLOCK_NUMBERS // self._numbers_per_row)
        for start in range(0, len(vectors), n_rows):
            with np.errstate(over="ignore", invalid="ignore"):
                block = np.ascontiguousarray(vectors[start : start + n_rows], dtype=np.float32)
                _check_rows(block, start, "vectors must be finite, got NaN or infinity")
                features[start : start + n_rows] = self._mapped(block)
            made = features[start : start + n_rows]
            _check_rows(made, start, "the features of vectors must fit into float32, got larger")
        return features

    @staticmethod
    def from_tensors(tensors: Tensors, settings: Settings) -> FeatureMap:
        """Undo `to_tensors`; raise FormatError where something is missing or does not fit."""
        kind = settings.get("kind") if isinstance(settings, dict) else None
        if not isinstance(kind, str) or kind not in _KINDS:
            raise FormatError(f"feature map must be one of {', '.join(_KINDS)}, got {kind!r}.")
        arguments = {**tensors, **{k: v for k, v in settings.items() if k != "kind"}}
        try:
            return _KINDS[kind](**arguments)
        except (TypeError, ValueError) as cause:
            raise FormatError(f"stored feature map does not fit together: {cause}") from cause


@dataclass(frozen=True, eq=False)
class _Identity(FeatureMap):
    kind: ClassVar[str] = "identity"
    dim: int

    def __post_init__(self) -> None:
        _check_dims(dim=self.dim)

    @property
    def dim_in(self) -> int:
        return self.dim

    @property
    def dim_out(self) -> int:
        return self.dim

    @property
    def _numbers_per_row(self) -> int:
        return self.dim

    def _mapped(self, block: Float32Array) -> Float32Array:
        return block

    def to_tensors(self) -> tuple[Tensors, Settings]:
        return {}, {"kind": self.kind, "dim": self.dim}


@dataclass(frozen=True, eq=False)
class _Linear(FeatureMap):
    kind: ClassVar[str] = "linear"
    mean: Float32Array
    weights: Float32Array

    def __post_init__(self) -> None:
        _set_arrays(self, mean=1, weights=2)
        _check_shape("mean", self.mean, self.weights.shape[:1])

    @property
    def dim_in(self) -> int:
        return int(self.weights.shape[0])

    @property
    def dim_out(self) -> int:
        return int(self.weights.shape[1])

    @property
    def _numbers_per_row(self) -> int:
        return max(self.dim_in, self.dim_out)

    def _mapped(self, block: Float32Array) -> NDArray[np.floating]:
        weights = self.weights.T.astype(np.float64)
        return _each_times(weights, block.astype(np.float64) - self.mean)

    def to_tensors(self) -> tuple[Tensors, Settings]:
        return {"mean": self.mean, "weights": self.weights}, {"kind": self.kind}


@dataclass(frozen=True, eq=False)
class _Anchors(FeatureMap):
    kind: ClassVar[str] = "anchors"
    points: Float32Array
    width: float
    mean: Float32Array
    weights: Float32Array

    def __post_init__(self) -> None:
        _set_arrays(self, points=2, mean=1, weights=2)
        _check_shape("mean", self.mean, self.points.shape[:1])
        _check_shape("weights", self.weights, (len(self.points), self.dim_out))
        is_number = isinstance(self.width, int | float) and not isinstance(self.width, bool)
        if not is_number or not 0 < self.width < np.inf:
            raise OptionError(f"width must be a finite number above 0, got {self.width!r}.")

    @property
    def dim_in(self) -> int:
        return int(self.points.shape[1])

    @property
    def dim_out(self) -> int:
        return int(self.weights.shape[1])

    @property
    def _numbers_per_row(self) -> int:
        return max(len(self.points), self.dim_in, self.dim_out)

    def _mapped(self, block: Float32Array) -> NDArray[np.floating]:
        wide, points = block.astype(np.float64), self.points.astype(np.float64)
        sq_sizes = np.einsum("ad,ad->a", points, points)
        # Float64 keeps 1e-16 of |x|^2 in this difference; float32 would lose close anchors.
        sq_distances = _each_times(wide[:, None], wide) - 2 * _each_times(points, wide) + sq_sizes
        width = float(self.width)  # divided by twice: the square of a small one is 0
        kernel = np.exp(-0.5 * np.maximum(sq_distances, 0) / width / width)  # (n, A)
        return _each_times(self.weights.T.astype(np.float64), kernel - self.mean)

    def to_tensors(self) -> tuple[Tensors, Settings]:
        tensors: Tensors = {"points": self.points, "mean": self.mean, "weights": self.weights}
        return tensors, {"kind": self.kind, "width": float(self.width)}


@dataclass(frozen=True, eq=False)
class _Trees(FeatureMap):
    kind: ClassVar[str] = "trees"
    nodes: Int64Array
    thresholds: Float32Array
    values: Float32Array
    roots: Int64Array
    outputs: Int64Array
    n_inputs: int
    n_outputs: int

    def __post_init__(self) -> None:
        _set_arrays(self, thresholds=1, values=1)
        for name, rank in (("nodes", 2), ("roots", 1), ("outputs", 1)):
            object.__setattr__(self, name, _whole_numbers(getattr(self, name), name, rank))
        _check_dims(n_inputs=self.n_inputs, n_outputs=self.n_outputs)
        n_nodes = len(self.nodes)
        _check_shape("nodes", self.nodes, (n_nodes, 3))
        for name in ("thresholds", "values"):
            _check_shape(name, getattr(self, name), (n_nodes,))
        _check_shape("outputs", self.outputs, self.roots.shape)
        _check_range("roots", self.roots, 0, n_nodes)
        _check_range("outputs", self.outputs, 0, self.n_outputs)
        is_inner = (self.nodes != -1).any(axis=1)
        _check_range("features of nodes", self.nodes[is_inner, 0], 0, self.n_inputs)
        places = np.flatnonzero(is_inner)[:, None]
        children = self.nodes[is_inner, 1:]
        # A child after its parent: no vector goes in circles.
        if ((children <= places) | (children >= n_nodes)).any():
            raise OptionError(
                f"children of a node must come after it and be below {n_nodes}, or the node be "
                "-1, -1, -1 for a leaf."
            )

    @property
    def dim_in(self) -> int:
        return self.n_inputs

    @property
    def dim_out(self) -> int:
        return self.n_outputs

    @property
    def _numbers_per_row(self) -> int:
        return max(3 * len(self.roots), self.n_inputs, self.n_outputs)

    def _mapped(self, block: Float32Array) -> NDArray[np.floating]:
        rows = np.arange(len(block))[:, None]
        at = np.broadcast_to(self.roots, (len(block), len(self.roots)))  # (n, T)
        while True:
            features, left, right = np.moveaxis(self.nodes[at], 2, 0)
            is_inner = features >= 0
            if not is_inner.any():
                break
            goes_left = block[rows, features] <= self.thresholds[at]
            at = np.where(is_inner, np.where(goes_left, left, right), at)
        # bincount adds in the order of the trees, so a row has the same sum in any batch.
        places = (rows * self.n_outputs + self.outputs).ravel()
        sums = np.bincount(places, self.values[at].ravel(), len(block) * self.n_outputs)
        return np.asarray(sums.reshape(len(block), self.n_outputs), dtype=np.float64)

    def to_tensors(self) -> tuple[Tensors, Settings]:
        names = ("nodes", "thresholds", "values", "roots", "outputs")
        tensors: Tensors = {name: getattr(self, name) for name in names}
        sizes = {"n_inputs": self.n_inputs, "n_outputs": self.n_outputs}
        return tensors, {"kind": self.kind, **sizes}


_KINDS: dict[str, type[FeatureMap]] = {
    one.kind: one for one in (_Identity, _Linear, _Anchors, _Trees)
}


def _each_times(matrices: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply matrices (..., K, D) by each row (n, D) on its own: (n, K)."""
    return np.asarray(np.matmul(matrices, rows[..., None])[..., 0])


def _check_rows(rows: Float32Array, start: int, required: str) -> None:
    """Raise DataError at the first row that is not finite."""
    is_finite = np.isfinite(rows).all(axis=1)
    if not is_finite.all():
        row = start + int(np.argmin(is_finite))
        raise DataError(f"{required} in row {row}. Remove or repair that row.")


def _set_arrays(target: FeatureMap, **ranks: int) -> None:
    """Replace fields of a frozen map by finite float32 arrays of the given ranks."""
    for name, rank in ranks.items():
        array = finite_array(getattr(target, name), name, rank)
        if array.size == 0:
            raise ShapeError(f"{name} must not be empty, got shape {array.shape}.")
        object.__setattr__(target, name, array)


def _whole_numbers(array: Int64Array, name: str, rank: int) -> Int64Array:
    array = np.asarray(array)
    if array.ndim != rank or array.size == 0:
        raise ShapeError(f"{name} must have {rank} dimensions and values, got {array.shape}.")
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name} must be integers, got {array.dtype}.")
    return np.ascontiguousarray(array, dtype=np.int64)


def _check_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ShapeError(f"{name} must have shape {shape}, got {array.shape}.")


def _check_range(name: str, numbers: Int64Array, least: int, end: int) -> None:
    if len(numbers) and not (least <= numbers.min() and numbers.max() < end):
        raise OptionError(
            f"{name} must be from {least} to {end - 1}, got {numbers.min()} to {numbers.max()}."
        )


def _check_dims(**dims: int) -> None:
    for name, dim in dims.items():
        if not isinstance(dim, int) or isinstance(dim, bool) or not 1 <= dim <= _MOST_VALUES:
            raise OptionError(
                f"{name} must be a whole number from 1 to {_MOST_VALUES}, got {dim!r}."
            )
