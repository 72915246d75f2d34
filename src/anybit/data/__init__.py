"""Sources of images and vectors, their labels, preprocessing, splits, and filters."""

from anybit.data.bad_items import BadItem, BadItems
from anybit.data.decode import DEFAULT_MAX_PIXELS, decode_image
from anybit.data.filters import (
    Filter,
    FilterLimits,
    column_kind,
    filterable_columns,
    parse_filter,
)
from anybit.data.labels import Labels
from anybit.data.path_text import path_text, shown_name, text_path
from anybit.data.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocessor
from anybit.data.sources import (
    ArrayImages,
    ArrayVectors,
    Batch,
    ImageSource,
    Items,
    Source,
    SourceOptions,
    content_digest,
    hash_keys,
    open_source,
)
from anybit.data.split import Split, split_positions

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "ArrayImages",
    "ArrayVectors",
    "BadItem",
    "BadItems",
    "Batch",
    "Filter",
    "FilterLimits",
    "ImageSource",
    "Items",
    "Labels",
    "Preprocessor",
    "Source",
    "SourceOptions",
    "Split",
    "column_kind",
    "content_digest",
    "decode_image",
    "filterable_columns",
    "hash_keys",
    "open_source",
    "parse_filter",
    "path_text",
    "shown_name",
    "split_positions",
    "text_path",
]
