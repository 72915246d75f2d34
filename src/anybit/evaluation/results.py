"""What an evaluation found: figures that carry their definition, as a table and as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anybit.codes import write_errors
from anybit.errors import DataError
from anybit.evaluation.average_precision import Denominator, ZeroHitRule
from anybit.evaluation.curves import PrecisionRecallCurve
from anybit.evaluation.ties import TieInterval
from anybit.types import Comparison, Metric

__all__ = [
    "DEFINITIONS",
    "Evaluation",
    "LengthResult",
    "Measure",
    "TableRow",
    "write_bytes",
    "write_json",
]

DEFINITIONS: dict[str, str] = {
    "map_at": "mAP@R: sum of the precision at each relevant rank within R, over the denominator "
    "(found: relevant items within R; reachable: min(R, relevant items in the database); "
    "database: relevant items in the database); mean over queries",
    "map_full": "mAP over the whole list",
    "map_at_query_relevant": "as map_at, R and denominator being each query's own number of "
    "relevant items",
    "precision_at": "share of relevant items among the first R; mean over all queries",
    "relevant_recall_at": "share of the query's relevant items among the first R; mean over the "
    "queries that have relevant items",
    "ndcg_at": "discounted gain of the first R over that of the best order; gain = number of "
    "shared class labels, discount 1/log2(1+rank); a query without relevant items counts 0",
    "relevant": "query and item share at least one class label",
    "zero_hit": "zero: a query without a hit within R counts 0; skip: it leaves the mean",
    "tie_rule": "lower_position: equal scores rank by position in the database; all_orders: "
    "expected value, worst and best over every order of items with equal scores",
    "tied_share": "share of the database whose score another item has too; mean over queries",
    "precision_recall_curve": "precision at the rank at which each share of a query's relevant "
    "items is first reached, not interpolated; mean over the queries that have relevant items",
}


@dataclass(frozen=True)
class Measure:
    """One figure with everything that it depends on.

    Parameters
    ----------
    name : str
        A key of DEFINITIONS.
    value : float
        The figure; under the tie rule "all_orders" the expected value.
    at : int or None
        The cut-off R that was used (at most the size of the database); None for the whole list.
    denominator : str or None
        Denominator of an average precision.
    zero_hit : str or None
        What a query without a hit counts.
    tie_rule : str
        "lower_position" or "all_orders".
    interval : TieInterval or None
        Under "all_orders": expected, worst and best value.
    n_levels : int or None
        Levels of the code; None for float features.
    bits : int
        Bits of an item's code, or of its float features.
    code_bytes : int
        The same in bytes, rounded up.
    n_queries : int
        Queries in the mean.
    """

    name: str
    value: float
    at: int | None
    denominator: Denominator | None
    zero_hit: ZeroHitRule | None
    tie_rule: str
    interval: TieInterval | None
    n_levels: int | None
    bits: int
    code_bytes: int
    n_queries: int


@dataclass(frozen=True)
class LengthResult:
    """All figures of one code length, or of the float features.

    Parameters
    ----------
    n_levels : int or None
        Levels of the code; None for float features.
    bits : int
        Bits of an item.
    code_bytes : int
        Bytes of an item.
    measures : tuple of Measure
        The figures.
    ranks : tuple of int
        Ranks at which `precision` and `relevant_recall` were read.
    precision : tuple of float
        Precision at `ranks`.
    relevant_recall : tuple of float
        Recall of the relevant items at `ranks`.
    curve : PrecisionRecallCurve
        Precision against recall.
    tied_share : float
        Mean share of the database whose score another item has too.
    """

    n_levels: int | None
    bits: int
    code_bytes: int
    measures: tuple[Measure, ...]
    ranks: tuple[int, ...]
    precision: tuple[float, ...]
    relevant_recall: tuple[float, ...]
    curve: PrecisionRecallCurve
    tied_share: float

    @property
    def label(self) -> str:
        """Name for people: "16 bits" or "float"."""
        return "float" if self.n_levels is None else f"{self.bits} bits"

    def measure(
        self,
        name: str,
        *,
        at: int | None = None,
        denominator: str | None = None,
        ties: bool = False,
    ) -> Measure:
        """Return the first measure of that name (and cut-off, denominator, tie rule), or raise."""
        rule = "all_orders" if ties else "lower_position"
        for entry in self.measures:
            if (
                entry.name == name
                and entry.tie_rule == rule
                and (at is None or entry.at == at)
                and (denominator is None or entry.denominator == denominator)
            ):
                return entry
        names = ", ".join(sorted({entry.name for entry in self.measures}))
        raise DataError(f"the measure must be one of {names}, got {name!r} (at {at}, {rule}).")


@dataclass(frozen=True)
class TableRow:
    """One line of the terminal table.

    Parameters
    ----------
    label : str
        "16 bits" or "float".
    code_bytes : int
        Bytes of an item.
    values : tuple of str
        One text for each column of `Evaluation.table_columns`.
    """

    label: str
    code_bytes: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Parameters
    ----------
    lengths : tuple of LengthResult
        One for each code length, short to long.
    float_features : LengthResult or None
        The same for uncompressed features: what codes can reach.
    metric : {"ip", "l2", "cosine"}
        How query and item were compared.
    comparison : {"aqd", "sqd"}
        Whether the queries themselves were compared, or their codes.
    at : int
        Cut-off R of mAP@R, at most the size of the database.
    denominator : str
        Default denominator of mAP@R.
    zero_hit : str
        What a query without a hit counts.
    precision_at : tuple of int
        Cut-offs asked for.
    n_queries : int
        Queries.
    n_database : int
        Items.
    n_classes : int
        Class labels.
    is_multi_label : bool
        Whether a query or item has more than one label.
    n_queries_without_relevant : int
        Queries that share a label with no item.
    seconds : float
        Time taken; not part of `to_dict`, so that equal runs give equal files.
    """

    lengths: tuple[LengthResult, ...]
    float_features: LengthResult | None
    metric: Metric
    comparison: Comparison
    at: int
    denominator: Denominator
    zero_hit: ZeroHitRule
    precision_at: tuple[int, ...]
    n_queries: int
    n_database: int
    n_classes: int
    is_multi_label: bool
    n_queries_without_relevant: int
    seconds: float

    def all_results(self) -> tuple[LengthResult, ...]:
        """Return the code lengths, then the float features if there are any."""
        last = () if self.float_features is None else (self.float_features,)
        return (*self.lengths, *last)

    def length(self, bits: int) -> LengthResult:
        """Return the result of one code length, or raise DataError."""
        for result in self.lengths:
            if result.bits == bits:
                return result
        known = ", ".join(str(result.bits) for result in self.lengths)
        raise DataError(f"the evaluation has the lengths {known} bits, got {bits}.")

    def table_columns(self) -> tuple[str, ...]:
        """Return the headings of `table_rows`."""
        first = self.precision_at[0] if self.precision_at else None
        columns = [f"mAP@{self.at}", "under ties: expected [worst, best]", "mAP whole list"]
        if first is not None:
            columns.append(f"precision@{first}")
        columns.append(f"NDCG@{self._ndcg_at()}")
        return tuple(columns)

    def table_rows(self) -> tuple[TableRow, ...]:
        """Return one line a code length, the float features last, for the terminal table."""
        rows = []
        for result in self.all_results():
            ties = result.measure("map_at", ties=True).interval
            values = [f"{result.measure('map_at', denominator=self.denominator).value:.4f}"]
            values.append(
                "" if ties is None else f"{ties.expected:.4f} [{ties.worst:.4f}, {ties.best:.4f}]"
            )
            values.append(f"{result.measure('map_full').value:.4f}")
            if self.precision_at:
                precision = result.measure("precision_at", at=self.precision_at[0])
                values.append(f"{precision.value:.4f}")
            values.append(f"{result.measure('ndcg_at').value:.4f}")
            rows.append(TableRow(result.label, result.code_bytes, tuple(values)))
        return tuple(rows)

    def _ndcg_at(self) -> int | None:
        return self.lengths[0].measure("ndcg_at").at

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, definitions included."""
        fields = asdict(self)
        del fields["seconds"]
        return {"format_version": 1, "definitions": dict(DEFINITIONS), **fields}


def write_json(path: Path, value: dict[str, Any]) -> Path:
    """Write a JSON file in one step: a reader sees the old file or the new one."""
    return write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file by way of a temporary one beside it; make its folder.

    Parameters
    ----------
    path : Path
    content : bytes

    Returns
    -------
    Path
        `path`; a reader sees the old file or the new one.

    Raises
    ------
    OptionError
        If the folder or file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    return path
