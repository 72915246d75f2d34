"""The filter language: text to a checked condition (docs/filters.md).

::

    expression  = term, {"OR", term}
    term        = factor, {"AND", factor}
    factor      = "NOT", factor | "(", expression, ")" | predicate
    predicate   = column, sign, literal | literal, sign, column
                | column, ["NOT"], "IN", "(", literal, {",", literal}, ")"
                | column, ["NOT"], "BETWEEN", literal, "AND", literal
                | column, ["NOT"], ("LIKE" | "ILIKE"), string
                | column, "IS", ["NOT"], ("NULL" | "TRUE" | "FALSE")
                | "array_has", "(", column, ",", literal, ")"
                | "array_length", "(", column, ")", sign, number
                | column
    sign        = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    literal     = number | "'...'" | "TRUE" | "FALSE" | ("DATE" | "TIME" | "TIMESTAMP"), "'...'"
    column      = name, {".", name}
    name        = word | '"..."' | "`...`"

On a column of lists ``=`` and ``IN`` ask whether the list holds a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from anybit.data.filters.columns import Column, column_kind, quoted
from anybit.data.filters.like import parts_of_pattern
from anybit.data.filters.tokens import KEYWORDS, Token, Tokens, refusal
from anybit.data.filters.tree import (
    AllOf,
    AnyOf,
    Comparison,
    Filter,
    IsBool,
    IsNull,
    ListHolds,
    ListLength,
    Matches,
    Not,
    OneOf,
)
from anybit.data.filters.values import Literal, compared_value, exact_value, text_of
from anybit.errors import FilterError

__all__ = ["FilterLimits", "parse_filter"]

_COMPARISONS = {"=": "=", "==": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">",
                ">=": ">="}  # fmt: skip
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_LIST_HOLDS = ("ARRAY_HAS", "ARRAY_CONTAINS", "LIST_HAS", "LIST_CONTAINS")
_ORDERED = ("string", "int", "float", "decimal", "date", "timestamp", "time")
_COMPARED = (*_ORDERED, "bool")
_MOST_NAMED = 30


@dataclass(frozen=True)
class FilterLimits:
    """The largest filter that is taken.

    Parameters
    ----------
    n_characters : int
        Of the text.
    depth : int
        Of nested brackets and NOT.
    n_predicates : int
        Comparisons in all.
    n_values : int
        In one IN.
    """

    n_characters: int = 2_000_000
    depth: int = 100
    n_predicates: int = 2_000
    n_values: int = 100_000


def parse_filter(
    text: str, columns: Mapping[str, pa.DataType], limits: FilterLimits | None = None
) -> Filter:
    """Return the condition that a filter's text means.

    Parameters
    ----------
    text : str
    columns : mapping of str to pyarrow.DataType
        The columns that it may name, see `filterable_columns`.
    limits : FilterLimits, optional

    Returns
    -------
    Filter

    Raises
    ------
    FilterError
        If the text is no filter, names another column, compares a column with a value that it
        cannot hold, or is too large. It tells the position and the cure.

    Examples
    --------
    >>> columns = {"price": pa.float64(), "name": pa.string()}
    >>> condition = parse_filter("price < 20 OR NOT name LIKE 'a%'", columns)
    >>> batch = pa.record_batch({"price": [10.0, 30.0, None], "name": ["a", "abc", "b"]})
    >>> condition(batch).to_pylist()
    [True, False, True]
    """
    limits = FilterLimits() if limits is None else limits
    if len(text) > limits.n_characters:
        raise FilterError(
            f"A filter may have {limits.n_characters:,} characters, got {len(text):,}.",
            "Select by ids where many items are meant.",
        )
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        raise FilterError(
            f"A filter must be Unicode text, got half a character at character {cause.start + 1:,}."
        ) from None
    return _Parser(Tokens(text), columns, limits).whole()


class _Parser:
    """Reads tokens from left to right."""

    def __init__(
        self, tokens: Tokens, columns: Mapping[str, pa.DataType], limits: FilterLimits
    ) -> None:
        self._tokens, self._columns, self._limits = tokens, columns, limits
        self._depth = self._n_predicates = 0
        self._operator = tokens.next  # of the predicate that is read, for messages

    def whole(self) -> Filter:
        """Return the condition of all tokens."""
        if self._next.kind == "end":
            raise FilterError(
                "A filter must be a condition, got an empty text.", "Write one such as price < 20."
            )
        found = self._any()
        if self._next.kind != "end":
            raise self._refused("A filter must end here or go on with AND or OR")
        return found

    # --- tokens ---

    @property
    def _next(self) -> Token:
        return self._tokens.next

    @property
    def _after(self) -> Token:
        return self._tokens.after

    def _take(self) -> Token:
        return self._tokens.take()

    def _takes(self, *words: str) -> str:
        """Take the next token if it is one of these keywords or signs, and return it."""
        word = self._next.word
        if word not in words:
            return ""
        self._take()
        return word

    def _needs(self, word: str, where: str) -> None:
        if not self._takes(word):
            raise self._refused(f"A filter needs {word} {where}")

    def _refused(self, required: str, cure: str = "") -> FilterError:
        return refusal(required, self._next, self._after, cure)

    def _too_much(self, what: str, at: Token) -> FilterError:
        return FilterError(
            f"A filter may have {what}, got more at character {at.start + 1:,}.",
            "Write a simpler one; IN takes many values.",
            at.start + 1,
        )

    # --- conditions ---

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._takes("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Filter:
        parts = [self._factor()]
        while self._takes("AND"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _factor(self) -> Filter:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise self._too_much(f"{self._limits.depth} nested brackets or NOT", self._next)
        if self._takes("NOT"):
            found: Filter = Not(self._factor())
        elif self._takes("("):
            found = self._any()
            self._needs(")", "after a condition in brackets")
        else:
            found = self._predicate()
        self._depth -= 1
        return found

    def _predicate(self) -> Filter:
        self._n_predicates += 1
        if self._n_predicates > self._limits.n_predicates:
            raise self._too_much(f"{self._limits.n_predicates:,} comparisons", self._next)
        if self._next.word in _LIST_HOLDS and self._after.text == "(":
            return self._list_holds()
        if self._next.word == "ARRAY_LENGTH" and self._after.text == "(":
            return self._list_length()
        if self._starts_literal():
            return self._mirrored()
        column = self._column()
        self._operator = self._next
        if self._next.word in _COMPARISONS:
            return self._compared(column, self._sign(), self._literal(column))
        if self._takes("IS"):
            is_not = bool(self._takes("NOT"))
            found = self._is(column)
            return Not(found) if is_not else found
        is_not = bool(self._takes("NOT"))
        if self._takes("IN"):
            found = self._among(column, self._values(column))
        elif word := self._takes("LIKE", "ILIKE"):
            found = self._like(column, self._literal(column), ignore_case=word == "ILIKE")
        elif self._takes("BETWEEN"):
            low = self._literal(column)
            self._needs("AND", "between the two values of BETWEEN")
            high = self._literal(column)
            found = AllOf((self._compared(column, ">=", low), self._compared(column, "<=", high)))
        elif not is_not and column.kind == "bool":
            return Comparison(column, "=", pa.scalar(True))
        else:
            raise self._refused(
                f"A comparison (=, <, IN, LIKE, BETWEEN, IS NULL) must follow the column "
                f"{column.name}",
                "Write one such as price < 20.",
            )
        return Not(found) if is_not else found

    def _list_holds(self) -> Filter:
        self._operator = self._take()
        name = self._operator.text
        self._needs("(", f"after {name}")
        column = self._column()
        self._needs(",", f"after the column of {name}")
        if column.kind != "list":
            raise self._unfit(column, name)
        found = self._compared(column, "=", self._literal(column))
        self._needs(")", f"after the value of {name}")
        return found

    def _list_length(self) -> Filter:
        self._operator = self._take()
        name = self._operator.text
        self._needs("(", f"after {name}")
        column = self._column()
        if column.kind != "list":
            raise self._unfit(column, name)
        self._needs(")", f"after the column of {name}")
        if self._next.word not in _COMPARISONS:
            raise self._refused(f"A comparison must follow {name}(...)", "Write one such as > 1.")
        sign, value = self._sign(), self._literal(column)
        return ListLength(
            column, *compared_value(f"{name}({column.name})", pa.int64(), sign, value)
        )

    def _mirrored(self) -> Filter:
        """Return ``literal sign column``."""
        value = self._literal(None)
        if self._next.word not in _COMPARISONS:
            raise self._refused("A comparison must follow a value", "Write one such as 20 > price.")
        self._operator = self._next
        sign = _MIRRORED[self._sign()]
        if self._starts_literal():
            raise self._refused(
                "A value must be compared with a column", "Write one such as price < 20."
            )
        return self._compared(self._column(), sign, value)

    def _is(self, column: Column) -> Filter:
        if self._takes("NULL"):
            return IsNull(column)
        if column.kind == "bool" and (word := self._takes("TRUE", "FALSE")):
            return IsBool(column, word == "TRUE")
        raise self._refused("A filter needs NULL after IS or IS NOT", "Write = before a value.")

    def _compared(self, column: Column, sign: str, value: Literal) -> Filter:
        if column.kind == "list":
            if sign not in ("=", "<>"):
                raise self._unfit(column, sign)
            found = self._holds(column, [value])
            return found if sign == "=" else Not(found)
        if column.kind not in (_ORDERED if sign not in ("=", "<>") else _COMPARED):
            raise self._unfit(column, sign)
        return Comparison(column, *compared_value(column.name, column.type, sign, value))

    def _among(self, column: Column, values: list[Literal]) -> Filter:
        if column.kind == "list":
            return self._holds(column, values)
        if column.kind not in _COMPARED:
            raise self._unfit(column, "IN")
        return OneOf(column, tuple(exact_value(column.name, column.type, one) for one in values))

    def _holds(self, column: Column, values: list[Literal]) -> Filter:
        kind = column.type.value_type
        if column_kind(kind) not in _COMPARED:
            raise self._unfit(column, "=")
        return ListHolds(column, tuple(exact_value(column.name, kind, one) for one in values))

    def _like(self, column: Column, pattern: Literal, *, ignore_case: bool) -> Filter:
        if column.kind != "string":
            raise self._unfit(column, "ILIKE" if ignore_case else "LIKE")
        text = text_of(column.name, pattern)
        try:
            parts_of_pattern(text)
        except ValueError:
            raise FilterError(
                f"A pattern may not end in a single backslash, got {pattern.token.text[-40:]}.",
                r"Write \\ for a backslash.",
                pattern.token.start + 1,
            ) from None
        return Matches(column, text, ignore_case)

    def _unfit(self, column: Column, what: str) -> FilterError:
        """Return the error for a comparison that a column's type does not have."""
        possible = {
            "list": "=, !=, IN, IS NULL and array_length, on what the list holds",
            "struct": "IS NULL, and comparisons of its fields, written column.field",
            "bool": "=, !=, IN, IS TRUE, IS FALSE, IS NULL, or its name alone",
            "string": "=, !=, <, <=, >, >=, IN, BETWEEN, LIKE and IS NULL",
            "other": "IS NULL",
        }.get(column.kind, "=, !=, <, <=, >, >=, IN, BETWEEN and IS NULL")
        return FilterError(
            f"The column {column.name} of type {str(column.type)[:60]} cannot be compared by "
            f"{what}.",
            f"Possible are {possible}.",
            self._operator.start + 1,
        )

    # --- parts of a predicate ---

    def _sign(self) -> str:
        return _COMPARISONS[self._take().word]

    def _values(self, column: Column) -> list[Literal]:
        self._needs("(", "after IN")
        values = [self._literal(column)]
        while self._takes(","):
            if len(values) == self._limits.n_values:
                raise self._too_much(f"{self._limits.n_values:,} values in IN", self._next)
            values.append(self._literal(column))
        self._needs(")", "after the values of IN")
        return values

    def _starts_literal(self) -> bool:
        is_prefix = self._next.word in ("DATE", "TIME", "TIMESTAMP") and (
            self._after.kind == "string"
        )
        is_value = self._next.kind in ("number", "string") or self._next.word in ("TRUE", "FALSE")
        return is_value or is_prefix

    def _literal(self, column: Column | None) -> Literal:
        if self._starts_literal():
            token = self._take()
            is_prefix = token.word in ("DATE", "TIME", "TIMESTAMP")
            return Literal(self._take(), token.word) if is_prefix else Literal(token)
        cure = ""
        if self._next.word == "NULL":
            name = "column" if column is None else column.name
            cure = f"Nothing equals NULL; write {name} IS NULL or {name} IS NOT NULL."
        elif self._next.kind == "quoted" and self._next.value not in self._columns:
            string = self._next.value.replace("'", "''")
            cure = f"Write a string in single quotes: '{string[:40]}'."
        elif self._next.kind in ("quoted", "word") and self._next.word not in KEYWORDS:
            cure = "A column is compared with a value, not with another column; strings stand in "\
                   "single quotes."  # fmt: skip
        raise self._refused("A value (20, 'red', TRUE) is needed", cure)

    def _column(self) -> Column:
        name, kind = self._named(self._columns, "A column")
        parts = [name]
        while self._takes("."):
            if not pa.types.is_struct(kind):
                raise refusal(
                    f"The column {Column(tuple(parts), kind).name} has no fields",
                    self._next,
                    cure="Quote a name that holds a point.",
                )
            fields = {field.name: field.type for field in kind}
            name, kind = self._named(fields, f"A field of {Column(tuple(parts), kind).name}")
            parts.append(name)
        return Column(tuple(parts), kind)

    def _named(self, known: Mapping[str, pa.DataType], what: str) -> tuple[str, pa.DataType]:
        """Take a name and return it as it is stored, and its type."""
        token = self._next
        if token.kind != "quoted" and (token.kind != "word" or token.word in KEYWORDS):
            raise self._refused("The name of a column is needed", "Write one such as price < 20.")
        if token.value in known:
            self._take()
            return token.value, known[token.value]
        alike = [one for one in known if one.lower() == token.value.lower()]
        if len(alike) == 1 and token.kind == "word":
            self._take()
            return alike[0], known[alike[0]]
        listed = ", ".join(quoted(one) for one in list(known)[:_MOST_NAMED])
        more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        cure = f"Did you mean {', '.join(map(quoted, alike))}?" if alike else ""
        if token.kind == "quoted" and token.text[0] == '"' and not alike:
            cure = "Double quotes are for names; write a string in single quotes."
        raise self._refused(f"{what} must be one of {listed}{more}", cure)
