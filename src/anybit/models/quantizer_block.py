"""What every quantiser block of a network offers, whatever its codes stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from anybit.codes import Codebooks

__all__ = ["QuantizerBlock"]


class QuantizerBlock(nn.Module, ABC):
    """The last part of a model on images: from feature vectors to codes."""

    @abstractmethod
    def set_codebooks(self, codebooks: Codebooks) -> None:
        """Take over codebooks of this block's kind and sizes."""

    @abstractmethod
    def export_codebooks(self) -> Codebooks:
        """Return the codebooks as NumPy values; encoding with them is the same."""
