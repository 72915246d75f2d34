"""``anybit delete``: remove items from a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["delete"]


@command
def delete(
    collection: Annotated[str, typer.Argument(help="Collection to change.")],
    console: Console,
    ids: Annotated[str | None, typer.Option(help="Ids with commas between them: 1,2,7.")] = None,
    where: Annotated[
        str | None, typer.Option(help='SQL condition on the stored columns: "price < 20".')
    ] = None,
    is_damaged: Annotated[
        bool, typer.Option("--damaged", help="The rows of damaged files, see `anybit verify`.")
    ] = False,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many items there are.")
    ] = False,
) -> None:
    """Delete items, by id or by a condition. Ids that are not there are no error."""
    import numpy as np

    from anybit.cli.command import int_list
    from anybit.collection import Collection
    from anybit.errors import OptionError

    if (ids is not None) + (where is not None) + is_damaged != 1:
        raise OptionError("delete needs either --ids or --where or --damaged, one of them.")
    opened = Collection.open(collection, skip_damaged=is_damaged)
    if is_damaged:
        n_deleted = 0 if is_dry_run else opened.drop_damaged()
        console.result(
            {"collection": str(collection), "n_deleted": n_deleted, "n_items": opened.count()},
            f"{collection}: {n_deleted:,} damaged rows given up, {opened.count():,} items left",
        )
        return
    if ids is None:
        numbers = opened.ids(where)
    else:
        numbers = np.intersect1d(np.array(int_list(ids, "--ids"), dtype=np.int64), opened.ids())
    n_deleted = len(numbers) if is_dry_run else opened.delete(ids=numbers)
    n_items = opened.count()
    verb = "would be deleted" if is_dry_run else "deleted"
    console.result(
        {
            "collection": str(collection),
            "n_deleted": n_deleted,
            "n_items": n_items,
            "is_dry_run": is_dry_run,
        },
        f"{collection}: {n_deleted:,} items {verb}, {n_items:,} there",
    )
