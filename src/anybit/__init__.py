"""anybit: compact sequential codes for images and vectors.

>>> import anybit
>>> codebooks = anybit.Codebooks.shared(codebook=np.eye(4, 2), level_scales=np.array([1, 0.5]))
>>> codebooks.encode(np.array([[1, 0.5]])).rows()
array([[0, 1]], dtype=uint8)
>>> hits = anybit.Collection.open("shop.anybit").search("query.jpg", k=10)  # doctest: +SKIP

The names below are loaded when they are first used, so ``import anybit`` is instant and brings
neither torch nor the store with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anybit.codes import Codebooks, Codes
    from anybit.collection import Collection
    from anybit.evaluation import evaluate
    from anybit.models import DQN, DRQ
    from anybit.search import Index
    from anybit.training import train

    __version__: str

__all__ = [
    "DQN",
    "DRQ",
    "Codebooks",
    "Codes",
    "Collection",
    "Index",
    "__version__",
    "evaluate",
    "train",
]

_ROOM_OF = {
    "DQN": "anybit.models",
    "DRQ": "anybit.models",
    "Codebooks": "anybit.codes",
    "Codes": "anybit.codes",
    "Collection": "anybit.collection",
    "Index": "anybit.search",
    "evaluate": "anybit.evaluation",
    "train": "anybit.training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("anybit")
    if name in _ROOM_OF:
        return getattr(import_module(_ROOM_OF[name]), name)
    raise AttributeError(f"module 'anybit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
