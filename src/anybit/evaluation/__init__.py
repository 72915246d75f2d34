"""Metrics over ranked relevance, evaluation of every code length, plots and the report."""

from anybit.evaluation.advice import AdviceInput, AdviceOptions, advise
from anybit.evaluation.advice_result import Advice, LengthAdvice
from anybit.evaluation.average_precision import map_at, map_at_query_relevant, map_full
from anybit.evaluation.curves import (
    PrecisionRecallCurve,
    ndcg_at,
    precision_at,
    precision_recall_curve,
    relevant_recall_at,
)
from anybit.evaluation.evaluate import EvaluationInput, evaluate
from anybit.evaluation.options import EvaluationOptions
from anybit.evaluation.plots import DARK, LIGHT, Theme, dressed, painted
from anybit.evaluation.ranking import rank_positions
from anybit.evaluation.report import ExampleHit, ExampleHits, ExampleQuery, write_report
from anybit.evaluation.results import (
    DEFINITIONS,
    Evaluation,
    LengthResult,
    Measure,
    TableRow,
    write_bytes,
)
from anybit.evaluation.ties import TieInterval, map_under_ties

__all__ = [
    "DARK",
    "DEFINITIONS",
    "LIGHT",
    "Advice",
    "AdviceInput",
    "AdviceOptions",
    "Evaluation",
    "EvaluationInput",
    "EvaluationOptions",
    "ExampleHit",
    "ExampleHits",
    "ExampleQuery",
    "LengthAdvice",
    "LengthResult",
    "Measure",
    "PrecisionRecallCurve",
    "TableRow",
    "Theme",
    "TieInterval",
    "advise",
    "dressed",
    "evaluate",
    "map_at",
    "map_at_query_relevant",
    "map_full",
    "map_under_ties",
    "ndcg_at",
    "painted",
    "precision_at",
    "precision_recall_curve",
    "rank_positions",
    "relevant_recall_at",
    "write_bytes",
    "write_report",
]
