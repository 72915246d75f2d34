"""One file per kind of source."""

from anybit.data.sources.arrays import ArrayImages, ArrayVectors
from anybit.data.sources.base import Batch, Items, Source
from anybit.data.sources.folder import FolderImages
from anybit.data.sources.images import ImageSource
from anybit.data.sources.item_ids import content_digest, hash_keys
from anybit.data.sources.manifest import ManifestImages
from anybit.data.sources.open import open_source
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.parquet import ParquetImages, ParquetVectors
from anybit.data.sources.vectors import VectorSource

__all__ = [
    "ArrayImages",
    "ArrayVectors",
    "Batch",
    "FolderImages",
    "ImageSource",
    "Items",
    "ManifestImages",
    "ParquetImages",
    "ParquetVectors",
    "Source",
    "SourceOptions",
    "VectorSource",
    "content_digest",
    "hash_keys",
    "open_source",
]
