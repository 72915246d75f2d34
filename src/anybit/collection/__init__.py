"""What a user holds: a model, the stored codes of items, and the search over them."""

from anybit.collection.add_options import AddOptions, AddReport
from anybit.collection.addition_plan import AdditionPlan, UsedIdError
from anybit.collection.collection import Collection
from anybit.collection.contact_sheet import draw_contact_sheet
from anybit.collection.encoder import Encoder, EncoderOptions, Engine, load_encoder
from anybit.collection.export import export_model
from anybit.collection.faiss_import import import_faiss
from anybit.collection.hits import Hits
from anybit.collection.length_advice import AdviceSources, advise_source
from anybit.collection.lookup import Answer, Lookup

__all__ = [
    "AddOptions",
    "AddReport",
    "AdditionPlan",
    "AdviceSources",
    "Answer",
    "Collection",
    "Encoder",
    "EncoderOptions",
    "Engine",
    "Hits",
    "Lookup",
    "UsedIdError",
    "advise_source",
    "draw_contact_sheet",
    "export_model",
    "import_faiss",
    "load_encoder",
]
