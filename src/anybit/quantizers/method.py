"""What a method on fixed vectors declares about itself, and how it is told to learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anybit.data import Labels
from anybit.errors import DataError, ShapeError
from anybit.quantizers.fit_result import FitResult
from anybit.types import Float32Array, Metric, ProgressCallback

__all__ = ["FitSettings", "VectorMethod"]


@dataclass(frozen=True)
class FitSettings:
    """Settings that every vector method takes.

    Parameters
    ----------
    n_levels : int
        Levels M.
    n_codewords : int
        Codewords K of a level: a power of two from 2 to 256.
    metric : {"ip", "l2", "cosine"}
        Stored in the codebooks for searching.
    seed : int
        The same seed, vectors, machine and thread count give the same result.
    progress : callable, optional
        Called with (steps done, steps in all).
    """

    n_levels: int = 4
    n_codewords: int = 256
    metric: Metric = "ip"
    seed: int = 0
    progress: ProgressCallback | None = None


@dataclass(frozen=True)
class VectorMethod:
    """A method that learns codebooks from fixed vectors.

    Parameters
    ----------
    name : str
        As in ``anybit train --method NAME`` and in config.json.
    title : str
        One line for lists of methods.
    reference : str
        Paper, conference and year.
    fit : callable
        Takes vectors (N, D), labels of the N items or None, and `FitSettings`; returns a
        `FitResult`. Call `learn`, which checks the labels first.
    needs_labels : bool
        Whether it cannot learn without class labels.
    is_sequential : bool
        Whether the first levels of a code are a code.
    needs : tuple of str
        Extras of the installation, such as ``faiss``.
    """

    name: str
    title: str
    reference: str
    fit: Callable[[Float32Array, Labels | None, FitSettings], FitResult]
    needs_labels: bool = False
    is_sequential: bool = True
    needs: tuple[str, ...] = ()

    def learn(
        self, features: Float32Array, labels: Labels | None, settings: FitSettings
    ) -> FitResult:
        """Check the labels, then fit.

        Parameters
        ----------
        features : ndarray of shape (N, D), float32
        labels : Labels or None
            Of the N items.
        settings : FitSettings

        Raises
        ------
        DataError
            If the method needs labels and there are none, or of a single class.
        ShapeError
            If labels and vectors differ in number.
        OptionError, DTypeError, DependencyError
            From the method itself.
        """
        if labels is not None and len(labels) != len(features):
            raise ShapeError(
                f"labels must be of the {len(features)} vectors, got labels of {len(labels)} "
                "items. Give one list of classes per vector, empty for none."
            )
        self.check_labels(labels)
        return self.fit(features, labels, settings)

    def check_labels(self, labels: Labels | None) -> None:
        """Raise DataError where the method needs labels and there are not two classes."""
        n_classes = 0 if labels is None else int((labels.counts() > 0).sum())
        if self.needs_labels and n_classes < 2:
            raise DataError(
                f"method {self.name} needs labels of at least 2 classes, got {n_classes}. Name a "
                "label column, put the images into one folder per class, or take a method that "
                "learns without labels, such as rq."
            )
