"""The values of the HTTP API, as its OpenAPI description shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

__all__ = [
    "Added",
    "CollectionInfo",
    "Deleted",
    "DeletedItems",
    "ErrorAnswer",
    "ImageSearch",
    "Item",
    "ItemPage",
    "NewImage",
    "NewItems",
    "Search",
    "SearchAnswer",
    "State",
]

_LARGEST = 2**63 - 1

ItemId = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST, strict=True)]
"""Ids beyond 2^53, which JavaScript rounds, may be sent as strings of digits."""
IdText = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,18}$|^-?[0-8][0-9]{18}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=1_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={})


class ImageSearch(_Strict):
    """What to search for beside the image that comes with it."""

    k: Annotated[int, Field(ge=1, strict=True, description="Number of hits.")] = 24
    bits: Annotated[
        int | None,
        Field(ge=1, strict=True, description="Code length to compare; all of the code if null."),
    ] = None
    where: Annotated[
        str | None,
        Field(
            max_length=4_000,
            description="Only items that meet this condition on the collection's columns.",
            examples=["price < 20 AND colour IN ('red', 'blue')"],
        ),
    ] = None
    with_overlap: Annotated[
        StrictBool, Field(description="Also compare with the answer of the full code.")
    ] = False


class Search(ImageSearch):
    """What to search for: an item's id or a vector."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"id": 7, "k": 24, "bits": 16, "with_overlap": True}]},
    )
    id: Annotated[
        ItemId | IdText | None, Field(description="Search for what is like this item.")
    ] = None
    vector: Annotated[
        list[Finite] | None,
        Field(
            min_length=1,
            max_length=65_536,
            description="A vector of the kind that the collection's model takes.",
        ),
    ] = None


class Hit(BaseModel):
    """An item that was found."""

    id: int
    key: Annotated[str | None, Field(description="Its name, such as the file it came from.")]
    score: Annotated[float, Field(description="Larger is closer.")]
    codes: Annotated[list[int], Field(description="One number a level, of the full code.")]
    metadata: Annotated[dict[str, Any], Field(description="The other columns.")]
    labels: Annotated[list[str] | None, Field(description="Names of its classes.")]
    thumbnail: Annotated[str | None, Field(description="Where its picture is.")]


class QueryAnswer(BaseModel):
    """The query as the model sees it."""

    kind: Literal["image", "id", "vector"]
    codes: Annotated[list[int], Field(description="One number a level, of the full code.")]


class Overlap(BaseModel):
    """How much of the full code's answer the shorter code finds."""

    bits: Annotated[int, Field(description="Length of the full code.")]
    share: Annotated[float, Field(ge=0, le=1, description="Common hits over k.")]


class Times(BaseModel):
    """Milliseconds of the parts of a search."""

    decode: float
    encode: float
    search: float
    total: float


class SearchAnswer(BaseModel):
    """The hits, best first."""

    hits: list[Hit]
    query: QueryAnswer
    bits: Annotated[int, Field(description="Code length that was compared.")]
    code_bytes: Annotated[float, Field(description="The same in bytes an item.")]
    n_searched: Annotated[int, Field(description="Items that were compared.")]
    overlap: Overlap | None
    took_ms: Times
    version: Annotated[int, Field(description="Version of the collection.")]


class Item(BaseModel):
    """An item of the collection."""

    id: int
    key: str | None
    codes: list[int]
    metadata: dict[str, Any]
    labels: list[str] | None
    thumbnail: str | None


class ItemPage(BaseModel):
    """Some items, in the order of their ids."""

    items: list[Item]
    cursor: Annotated[str | None, Field(description="Ask with it for the next ones; null: none.")]


class Column(BaseModel):
    """A column that filters may name."""

    name: str
    type: Literal[
        "string", "int", "float", "decimal", "bool", "timestamp", "time", "list", "struct"
    ]


class EngineInfo(BaseModel):
    """What runs the network."""

    name: Literal["torch", "onnxruntime", "none"]
    version: str | None


class Limits(BaseModel):
    """What a request may have at most."""

    upload_bytes: int
    pixels: int
    k: int


class CollectionInfo(BaseModel):
    """What is served."""

    name: str
    n_items: int
    version: int
    bits: Annotated[int, Field(description="Length of the full code.")]
    lengths: Annotated[list[int], Field(description="Code lengths that can be asked for.")]
    n_levels: int
    n_codewords: int
    metric: Literal["ip", "l2", "cosine"]
    dim: Annotated[int, Field(description="Length of a vector.")]
    has_thumbnails: bool
    query_kinds: list[Literal["image", "id", "vector"]]
    engine: EngineInfo
    columns: list[Column]
    class_names: list[str] | None
    label_column: str | None
    is_writable: bool
    limits: Limits


class _Described(_Strict):
    id: Annotated[
        ItemId | IdText, Field(description="An item whose id was given before is replaced.")
    ]
    key: Annotated[str | None, Field(max_length=1_000)] = None
    labels: Annotated[list[Text] | None, Field(max_length=1_000)] = None
    metadata: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")],
            Text | StrictBool | Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | Finite | None,
        ],
        Field(max_length=100, description="Values of other columns; new columns are added."),
    ] = {}


class NewImage(_Described):
    """What is to be stored of the image that comes with it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"id": 7, "key": "cat.jpg", "labels": ["cat"]}]},
    )


class NewVector(_Described):
    """An item given as a vector."""

    vector: Annotated[list[Finite], Field(min_length=1, max_length=65_536)]


class NewItems(_Strict):
    """Items to add, given as vectors."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"items": [{"id": 7, "vector": [0.1, 0.2], "key": "a"}]}]},
    )
    items: Annotated[list[NewVector], Field(min_length=1, max_length=10_000)]


class Added(BaseModel):
    """What was stored."""

    n_added: int
    n_updated: int
    version: int


class DeletedItems(_Strict):
    """Which items to delete: ids or a condition."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": [7, 8]}]})
    ids: Annotated[list[ItemId | IdText] | None, Field(min_length=1, max_length=10_000)] = None
    where: Annotated[str | None, Field(max_length=4_000)] = None


class Deleted(BaseModel):
    """How many items were deleted."""

    n_deleted: int
    version: int


class State(BaseModel):
    """Whether the server lives, or can answer."""

    status: Literal["ok", "ready", "loading", "stopping"]


class ErrorBody(BaseModel):
    """Why a request was refused."""

    code: Literal[
        "bad_filter",
        "not_found",
        "too_large",
        "unsupported_image",
        "bad_request",
        "conflict",
        "unauthorized",
        "rate_limited",
        "read_only",
        "timeout",
        "unavailable",
    ]
    message: Annotated[str, Field(description="What was required and what came.")]
    cure: Annotated[str, Field(description="What to do.")]


class ErrorAnswer(BaseModel):
    """The answer to every request that is refused or fails."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "code": "not_found",
                        "message": "An id must be one of the collection, got 7.",
                        "cure": "Look ids up with GET /v1/items.",
                    }
                }
            ]
        }
    )
    error: ErrorBody
