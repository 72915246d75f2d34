"""Further code columns after those that are stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from anybit.codes import Codes
from anybit.errors import OptionError
from anybit.store.code_columns import CodeColumn, columns_of_levels, is_level_column
from anybit.store.dataset import Dataset
from anybit.store.schema import settings_metadata, settings_of
from anybit.types import Int64Array, UInt8Array

__all__ = ["drop_levels", "extend_dataset", "name_models"]


def name_models(dataset: Dataset, models: dict[str, int]) -> None:
    """Commit schema metadata of this format version that names the models; while `writing`."""
    newest = dataset.lance
    dataset.check_lock()
    newest.update_schema_metadata(settings_metadata(models))
    dataset.committed(newest)


def drop_levels(dataset: Dataset, n_levels: int) -> dict[str, int]:
    """Drop what an interrupted extension has left after the first levels; while `writing`.

    Returns
    -------
    dict of str to int
        The models that are named in the store now, and the number of their levels.
    """
    settings = settings_of(dataset.lance.schema, str(dataset.path))
    models = {name: count for name, count in (settings.models or {}).items() if count <= n_levels}
    if models != (settings.models or {}):  # an extension that never got into use
        name_models(dataset, models)
    kept = {one.name for one in settings.code_columns if one.first_level < n_levels}
    left = [one for one in dataset.lance.schema.names if is_level_column(one) and one not in kept]
    if left:
        newest = dataset.lance
        dataset.check_lock()
        newest.drop_columns(left)
        dataset.committed(newest)
    return models


def extend_dataset(
    dataset: Dataset, n_levels: int, ids: Int64Array, further: Codes, model_fingerprint: str
) -> None:
    """Commit the levels after the first `n_levels`, then name their model; while `writing`.

    Each fragment gets one more file; those that it has stay as they are. Columns are ignored until
    a model of so many levels is named, so that an extension may be interrupted anywhere.

    Parameters
    ----------
    dataset : Dataset
    n_levels : int
        Levels that are stored and stay.
    ids : ndarray of shape (N,), int64
        Ascending.
    further : Codes
        Of N items, the new levels alone.
    model_fingerprint : str
        Of the model of all levels.
    """
    settings = settings_of(dataset.lance.schema, str(dataset.path))
    if settings.models is None:
        raise OptionError(f"{dataset.path} must be upgraded before it is extended.")
    models = drop_levels(dataset, n_levels)
    added = columns_of_levels(range(n_levels, n_levels + further.n_levels), further.n_codewords)
    packed = [
        one.pack(further.planes[one.first_level - n_levels :][: one.n_levels]) for one in added
    ]
    _add_columns(dataset, added, ids, packed)
    name_models(dataset, {**models, model_fingerprint: n_levels + further.n_levels})


def _add_columns(
    dataset: Dataset, added: list[CodeColumn], ids: Int64Array, values: list[UInt8Array]
) -> None:
    """Commit new code columns, with the values (N,) of each for ascending `ids` (N,)."""
    from lance import LanceOperation
    from lance.dataset import LanceDataset

    schema, newest = pa.schema([one.field for one in added]), dataset.lance

    def columns_of(batch: pa.RecordBatch) -> pa.RecordBatch:
        wanted = batch["id"].to_numpy()
        places = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
        # Rows that are deleted have no code; nobody reads what stands there.
        arrays = [pa.array(one[places], pa.uint8()) for one in values]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    merged = [one.merge_columns(columns_of, columns=["id"]) for one in dataset.fragments()]
    if not merged:
        # Lance adds no column that may not be null, even to no rows.
        newest.add_columns(pa.schema([one.with_nullable(True) for one in schema]))
        dataset.committed(newest)
        newest.alter_columns(*({"path": one.name, "nullable": False} for one in added))
        dataset.committed(newest)
        return
    fragments = [fragment for fragment, _ in merged]
    dataset.record(fragments)
    operation = LanceOperation.Merge(fragments, merged[0][1])
    dataset.committed(LanceDataset.commit(newest, operation, read_version=newest.version))
