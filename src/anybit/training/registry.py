"""The methods that learn codes with a network, by name; readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from anybit.errors import OptionError

__all__ = ["AUTO_IMAGE_METHOD", "IMAGE_METHODS", "ImageMethod", "image_method"]


@dataclass(frozen=True)
class ImageMethod:
    """What is known of a method before its code is loaded.

    Parameters
    ----------
    name : str
        As on the command line.
    title : str
        As in the tables of the papers.
    summary : str
        One line for lists of methods.
    reference : str
        The paper.
    definition : str
        ``module:NAME`` of its `anybit.training.engine.definition.MethodDefinition`, which is
        imported at first use and brings torch.
    codes : {"shared", "product", "stacked", "sign"}
        What a code stands for: a sum of scaled codewords of one codebook, one codeword for each
        subspace, a sum of codewords of a codebook per level, or the signs of the feature.
    is_sequential : bool
        The codes can be cut: one model serves every shorter length.
    n_codewords : int or None
        Codewords of a level, where the method fixes them; 2 for hashing.
    stages : tuple of str
        Stages whose epochs a run is given one by one. Empty: it is given one number, which the
        stages share in the proportion of the preset.
    takes_label_vectors : bool
        It can use a vector for each class.
    needs : tuple of str
        What it cannot do without beside images and torch: ``labels``, extras of the installation.
    """

    name: str
    title: str
    summary: str
    reference: str
    definition: str
    codes: Literal["shared", "product", "stacked", "sign"]
    is_sequential: bool = False
    n_codewords: int | None = None
    stages: tuple[str, ...] = ()
    takes_label_vectors: bool = False
    needs: tuple[str, ...] = ("labels",)

    def load(self) -> Any:
        """Import the method's module and return its `MethodDefinition`."""
        module, _, attribute = self.definition.partition(":")
        return getattr(import_module(module), attribute)


_DRQ = "Song et al., Deep Recurrent Quantization for Generating Sequential Binary Codes, IJCAI 2019"
_DQN = "Cao et al., Deep Quantization Network for Efficient Image Retrieval, AAAI 2016"

# A new method is its file in `methods` and its entry here.
IMAGE_METHODS: dict[str, ImageMethod] = {
    method.name: method
    for method in (
        ImageMethod(
            "drq", "DRQ", "one codebook for all levels, a scale per level; three stages", _DRQ,
            "anybit.training.methods.drq:DRQ_METHOD", "shared", is_sequential=True,
            stages=("features", "one level", "all levels"), takes_label_vectors=True,
        ),
        ImageMethod(
            "dqn", "DQN", "product codes learned in turns with the cosines of pairs", _DQN,
            "anybit.training.methods.dqn:DQN_METHOD", "product",
        ),
        ImageMethod(
            "dqn2+", "DQN2+", "the features of DQN first, then OPQ on them", _DQN,
            "anybit.training.methods.dqn:TWO_STEP_METHOD", "product", needs=("labels", "faiss"),
        ),
        ImageMethod(
            "dqnip", "DQNip", "DQN with inner products in place of cosines", _DQN,
            "anybit.training.methods.dqn:INNER_PRODUCT_METHOD", "product",
        ),
    )
}  # fmt: skip
AUTO_IMAGE_METHOD = "drq"
"""What ``auto`` stands for where the source holds pictures."""


def image_method(name: str) -> ImageMethod:
    """Return a method on images by its name, ``auto`` among them.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    found = IMAGE_METHODS.get(AUTO_IMAGE_METHOD if name == "auto" else name)
    if found is None:
        raise OptionError(
            f"method must be one of {', '.join(IMAGE_METHODS)} for images, got {name!r}."
        )
    return found
