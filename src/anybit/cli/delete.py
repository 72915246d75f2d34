"""``anybit delete``: remove items from a collection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console
from anybit.cli.filter_flags import FilterFlags

if TYPE_CHECKING:
    from anybit.collection import Collection
    from anybit.types import Int64Array

__all__ = ["confirm", "delete", "is_terminal"]


@command
def delete(
    collection: Annotated[str, typer.Argument(help="Collection to change.")],
    console: Console,
    condition: FilterFlags,
    ids: Annotated[str | None, typer.Option(help="Ids with commas between them: 1,2,7.")] = None,
    is_damaged: Annotated[
        bool, typer.Option("--damaged", help="The rows of damaged files, see `anybit verify`.")
    ] = False,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many items would be deleted.")
    ] = False,
    is_sure: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask before deleting more than half of the items."),
    ] = False,
) -> None:
    """Delete items, by id or by a condition. Ids that are not there are no error.

    Says how many of how many items will be deleted. If --where selects more than half of them, the
    command asks for confirmation on a terminal; without a terminal it needs --yes.
    """
    import numpy as np

    from anybit.cli.command import int_list
    from anybit.collection import Collection
    from anybit.errors import OptionError

    if (ids is not None) + (condition.where is not None) + is_damaged != 1:
        raise OptionError("delete needs either --ids or --where or --damaged, one of them.")
    opened = Collection.open(collection, skip_damaged=is_damaged)
    if is_damaged:
        n_deleted = 0 if is_dry_run else opened.drop_damaged()
        console.result(
            {"collection": str(collection), "n_deleted": n_deleted, "n_items": opened.count()},
            f"{collection}: {n_deleted:,} damaged rows given up, {opened.count():,} items left",
        )
        return
    opened.filter_time_limit_s = condition.limit_s
    if ids is None:
        chosen = opened.ids(condition.where)
    else:
        chosen = np.intersect1d(np.array(int_list(ids, "--ids"), dtype=np.int64), opened.ids())
    n_before = opened.count()
    if is_dry_run:
        n_deleted = len(chosen)
    else:
        console.say(f"{collection}: {len(chosen):,} of {n_before:,} items will be deleted")
        if ids is None and not is_sure:
            confirm(len(chosen), n_before)
        n_deleted = _delete(opened, chosen, condition.where, console)
    n_items = opened.count()
    did = f"of {n_before:,} items would be deleted" if is_dry_run else "items deleted"
    console.result(
        {
            "collection": str(collection),
            "n_matched": len(chosen),
            "n_deleted": n_deleted,
            "n_items_before": n_before,
            "n_items": n_items,
            "is_dry_run": is_dry_run,
        },
        f"{collection}: {n_deleted:,} {did}, {n_items:,} there",
    )


def _delete(opened: Collection, chosen: Int64Array, where: str | None, console: Console) -> int:
    """Delete the items that were counted, as far as they are still there and selected."""
    if len(chosen) == 0:
        return 0
    n_deleted = opened.delete(chosen, where)
    if n_deleted != len(chosen):
        console.warn(
            f"{len(chosen) - n_deleted:,} of the {len(chosen):,} items were changed or deleted by "
            "another process meanwhile and were left alone"
        )
    return n_deleted


def confirm(n_chosen: int, n_items: int) -> None:
    """Ask before more than half of the items are deleted.

    Raises
    ------
    OptionError
        If there is no terminal to ask.
    typer.Abort
        If the answer is no.
    """
    from anybit.errors import OptionError

    if 2 * n_chosen <= n_items:
        return
    if not is_terminal():
        raise OptionError(
            f"--where must select at most half of the items unless --yes is given, got "
            f"{n_chosen:,} of {n_items:,}. Nothing was deleted; add --yes if that is meant."
        )
    typer.confirm(f"Delete {n_chosen:,} of {n_items:,} items?", abort=True, err=True)


def is_terminal() -> bool:
    """Tell whether somebody can be asked."""
    return sys.stdin.isatty()
