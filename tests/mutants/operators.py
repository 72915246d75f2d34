"""Mutation operators: those of mutmut, and two for what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

__all__ = ["OPERATORS", "Operator"]

Operator = tuple[type, Callable[[Any], Iterable[cst.CSTNode]]]

# Mutmut turns each of these into its opposite by itself.
_OPPOSITES = (cst.Equal, cst.NotEqual, cst.Is, cst.IsNot, cst.In, cst.NotIn)


def negated_condition(node: cst.If | cst.CompIf) -> Iterable[cst.CSTNode]:
    """Negate the condition of an ``if``; mutmut changes comparisons only, never a plain switch."""
    test = node.test
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return
    if isinstance(test, cst.Comparison) and isinstance(test.comparisons[0].operator, _OPPOSITES):
        return
    inner = (
        test if test.lpar else test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    )
    yield node.with_changes(test=cst.UnaryOperation(operator=cst.Not(), expression=inner))


def removed_statement(node: cst.Expr | cst.Raise) -> Iterable[cst.CSTNode]:
    """Leave out a call whose result is not used, or an error."""
    if isinstance(node, cst.Raise) or isinstance(node.value, cst.Call):
        yield cst.Pass()


OPERATORS: tuple[tuple[str, Operator], ...] = (
    *((found[1].__name__.removeprefix("operator_"), found) for found in mutation_operators),
    ("negated_condition", (cst.If, negated_condition)),
    ("negated_condition", (cst.CompIf, negated_condition)),
    ("removed_statement", (cst.Expr, removed_statement)),
    ("removed_statement", (cst.Raise, removed_statement)),
)
