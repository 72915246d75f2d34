"""Which figures an evaluation computes."""

from __future__ import annotations

from dataclasses import dataclass

from anybit.errors import OptionError
from anybit.evaluation.average_precision import (
    Denominator,
    ZeroHitRule,
    checked_denominator,
)

__all__ = ["EvaluationOptions"]


@dataclass(frozen=True)
class EvaluationOptions:
    """Which figures to compute.

    Parameters
    ----------
    bits : tuple of int, optional
        Code lengths; every prefix of the codes when left out.
    at : int
        Cut-off R of mAP@R; the size of the database when that is smaller.
    denominator : {"found", "reachable", "database"}
        Denominator of the mAP@R that is shown first and measured under ties; the other two are
        computed as well.
    zero_hit : {"zero", "skip"}
        Whether a query that finds nothing counts 0 or leaves the mean.
    precision_at : tuple of int
        Cut-offs of precision and recall; those above the size of the database are left out.
    ndcg_at : int
        Cut-off of NDCG.
    n_threads : int, optional
        Threads; one a core when left out. The result does not depend on it.
    """

    bits: tuple[int, ...] | None = None
    at: int = 5000
    denominator: Denominator = "found"
    zero_hit: ZeroHitRule = "zero"
    precision_at: tuple[int, ...] = (100, 1, 10, 1000)
    ndcg_at: int = 100
    n_threads: int | None = None

    def __post_init__(self) -> None:
        checked_denominator(self.denominator, self.zero_hit)
        for name, value in (("at", self.at), ("ndcg_at", self.ndcg_at)):
            if value < 1:
                raise OptionError(f"{name} must be at least 1, got {value}.")
        if any(rank < 1 for rank in self.precision_at):
            raise OptionError(f"precision_at must be at least 1, got {self.precision_at}.")
        if self.n_threads is not None and self.n_threads < 1:
            raise OptionError(f"n_threads must be at least 1, got {self.n_threads}.")
        if self.bits is not None and len(self.bits) == 0:
            raise OptionError("bits must name at least one code length, got none.")
