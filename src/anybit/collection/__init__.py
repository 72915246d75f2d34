"""What a user holds: a model, the stored codes of items, and the search over them."""

from anybit.collection.collection import Collection
from anybit.collection.contact_sheet import draw_contact_sheet
from anybit.collection.encoder import Encoder, load_encoder
from anybit.collection.hits import Hits
from anybit.collection.ingest import AddOptions, AddReport

__all__ = [
    "AddOptions",
    "AddReport",
    "Collection",
    "Encoder",
    "Hits",
    "draw_contact_sheet",
    "load_encoder",
]
