"""Metrics over ranked relevance, evaluation of every code length, plots and the report."""

from anybit.evaluation.average_precision import map_at, map_at_query_relevant, map_full
from anybit.evaluation.curves import (
    PrecisionRecallCurve,
    ndcg_at,
    precision_at,
    precision_recall_curve,
    relevant_recall_at,
)
from anybit.evaluation.evaluate import EvaluationInput, evaluate
from anybit.evaluation.nearest import are_as_near, nearest_by_features
from anybit.evaluation.options import EvaluationOptions
from anybit.evaluation.plots import DARK, LIGHT, Theme, dressed, painted, write_evaluation
from anybit.evaluation.ranking import LabelMasks, rank_positions
from anybit.evaluation.report import ExampleHit, ExampleHits, ExampleQuery, write_report
from anybit.evaluation.results import (
    DEFINITIONS,
    Evaluation,
    LengthResult,
    Measure,
    TableRow,
    write_bytes,
    write_json,
)
from anybit.evaluation.ties import TieInterval, map_under_ties

__all__ = [
    "DARK",
    "DEFINITIONS",
    "LIGHT",
    "Evaluation",
    "EvaluationInput",
    "EvaluationOptions",
    "ExampleHit",
    "ExampleHits",
    "ExampleQuery",
    "LabelMasks",
    "LengthResult",
    "Measure",
    "PrecisionRecallCurve",
    "TableRow",
    "Theme",
    "TieInterval",
    "are_as_near",
    "dressed",
    "evaluate",
    "map_at",
    "map_at_query_relevant",
    "map_full",
    "map_under_ties",
    "ndcg_at",
    "nearest_by_features",
    "painted",
    "precision_at",
    "precision_recall_curve",
    "rank_positions",
    "relevant_recall_at",
    "write_bytes",
    "write_evaluation",
    "write_json",
    "write_report",
]
