"""Filter expressions of clients: parsed, checked against the columns, and written anew as SQL.

::

    expression  = term, {"OR", term}
    term        = factor, {"AND", factor}
    factor      = "NOT", factor | "(", expression, ")" | predicate
    predicate   = column, ("=" | "!=" | "<>" | "<" | "<=" | ">" | ">="), literal
                | column, ["NOT"], "IN", "(", literal, {",", literal}, ")"
                | column, ["NOT"], "BETWEEN", literal, "AND", literal
                | column, ["NOT"], "LIKE", string
                | column, "IS", ["NOT"], "NULL"
                | "array_has", "(", column, ",", literal, ")"
                | column

Nothing of a client's text reaches the store but names of known columns and literals of their type.
On a column of lists ``=`` and ``IN`` ask whether the list holds a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from anybit.serve.errors import ServeError

__all__ = ["filterable_columns", "kind_of", "parse_where"]

_MOST_CHARACTERS = 2_000
_MOST_DEPTH = 20
_MOST_PREDICATES = 100
_MOST_VALUES = 500

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>'(?:[^']|'')*')
      | (?P<quoted>"[^"`]+"|`[^"`]+`)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "=", "==": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">",
                ">=": ">="}  # fmt: skip
_KEYWORDS = frozenset("AND OR NOT IN IS NULL LIKE BETWEEN TRUE FALSE".split())
_CURE = (
    "Write a condition such as price < 20 AND colour IN ('red', 'blue') on the columns that "
    "GET /v1/collection lists."
)


def kind_of(kind: pa.DataType) -> str | None:
    """Return what the API calls a column's type; None for one that cannot be asked for."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests: list[tuple[str, Callable[[pa.DataType], bool]]] = [
        ("string", lambda one: pa.types.is_string(one) or pa.types.is_large_string(one)),
        ("int", pa.types.is_integer),
        ("float", pa.types.is_floating),
        ("bool", pa.types.is_boolean),
        ("timestamp", lambda one: pa.types.is_timestamp(one) or pa.types.is_date(one)),
        ("list", lambda one: pa.types.is_list(one) and _is_plain(one.value_type)),
    ]
    return next((name for name, test in tests if test(kind)), None)


def _is_plain(kind: pa.DataType) -> bool:
    return kind_of(kind) in ("string", "int", "float", "bool")


def filterable_columns(schema: pa.Schema, names: list[str]) -> dict[str, pa.DataType]:
    """Return the type of each of these columns that a filter may name."""
    return {
        name: schema.field(name).type
        for name in names
        if kind_of(schema.field(name).type) and not set(name) & set('"`.\\')
    }


def parse_where(text: str, columns: Mapping[str, pa.DataType]) -> str:
    """Return the SQL condition that a client's filter expression means.

    Parameters
    ----------
    text : str
    columns : mapping of str to pyarrow.DataType
        That it may name, see `filterable_columns`.

    Returns
    -------
    str
        For ``where`` of a collection: names in backticks, literals of the column's type.

    Raises
    ------
    ServeError
        ``bad_filter``, if the text is no such expression, names another column, compares a column
        with a value of another type, or is too long or too deep.

    Examples
    --------
    >>> columns = {"price": pa.float64(), "name": pa.string()}
    >>> parse_where("price < 20 or not name like 'a%'", columns)
    "(`price` < 20.0 OR NOT (`name` LIKE 'a%'))"
    """
    if len(text) > _MOST_CHARACTERS:
        raise _error(f"A filter may have {_MOST_CHARACTERS:,} characters, got {len(text):,}.")
    return _Parser(_tokens(text), columns).whole()


def _error(message: str) -> ServeError:
    return ServeError("bad_filter", message, _CURE)


@dataclass(frozen=True)
class _Token:
    kind: str  # number, string, quoted, word, sign, end
    text: str

    @property
    def said(self) -> str:
        """The token as a message quotes it."""
        if self.kind == "end":
            return "the end"
        return self.text if len(self.text) <= 40 else f"{self.text[:37]}..."


def _tokens(text: str) -> list[_Token]:
    found, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            rest = text[position:].strip()
            raise _error(
                f"A filter must hold columns, comparisons, numbers and 'strings', got "
                f"{rest[:20]!r} at character {position + 1}."
            )
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return [*found, _Token("end", "")]


class _Parser:
    """Reads tokens from left to right and writes SQL."""

    def __init__(self, tokens: list[_Token], columns: Mapping[str, pa.DataType]) -> None:
        self._tokens, self._columns = tokens, columns
        self._at = self._depth = self._n_predicates = 0

    def whole(self) -> str:
        """Return the SQL of all tokens."""
        sql = self._any()
        if self._next.kind != "end":
            raise _error(f"A filter must end or go on with AND or OR, got {self._next.said}.")
        return sql

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _takes(self, word: str) -> bool:
        """Take the next token if it is this keyword or sign."""
        token = self._next
        is_it = token.kind in ("word", "sign") and token.text.upper() == word
        if is_it:
            self._take()
        return is_it

    def _needs(self, word: str, where: str) -> None:
        if not self._takes(word):
            raise _error(f"A filter needs {word} {where}, got {self._next.said}.")

    def _any(self) -> str:
        parts = [self._all()]
        while self._takes("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _all(self) -> str:
        parts = [self._factor()]
        while self._takes("AND"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _factor(self) -> str:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise _error(f"A filter may be nested {_MOST_DEPTH} deep, got more.")
        if self._takes("NOT"):
            sql = f"NOT ({self._factor()})"
        elif self._takes("("):
            sql = self._any()
            self._needs(")", "after a condition in brackets")
        else:
            sql = self._predicate()
        self._depth -= 1
        return sql

    def _predicate(self) -> str:
        self._n_predicates += 1
        if self._n_predicates > _MOST_PREDICATES:
            raise _error(f"A filter may have {_MOST_PREDICATES} comparisons, got more.")
        if self._next.text.lower() in ("array_has", "array_contains", "list_has"):
            self._take()
            self._needs("(", "after array_has")
            column = self._column()
            self._needs(",", "after the column of array_has")
            sql = column.has(self._literal())
            self._needs(")", "after array_has")
            return sql
        column = self._column()
        if self._next.text in _COMPARISONS and self._next.kind == "sign":
            sign = self._take().text
            return column.compared(_COMPARISONS[sign], self._literal())
        if self._takes("IS"):
            is_not = self._takes("NOT")
            self._needs("NULL", "after IS or IS NOT")
            return f"{column.sql} IS {'NOT ' if is_not else ''}NULL"
        is_not = self._takes("NOT")
        if self._takes("IN"):
            sql = column.among(self._values())
        elif self._takes("LIKE"):
            sql = column.like(self._literal())
        elif self._takes("BETWEEN"):
            low = self._literal()
            self._needs("AND", "between the two values of BETWEEN")
            high = self._literal()
            sql = f"({column.compared('>=', low)} AND {column.compared('<=', high)})"
        elif not is_not and column.kind == "bool":
            return column.sql
        else:
            raise _error(
                f"A comparison (=, <, IN, LIKE, BETWEEN, IS NULL) must follow the column "
                f"{column.name}, got {self._next.said}."
            )
        return f"NOT ({sql})" if is_not else sql

    def _values(self) -> list[_Token]:
        self._needs("(", "after IN")
        values = [self._literal()]
        while self._takes(","):
            values.append(self._literal())
        self._needs(")", "after the values of IN")
        if len(values) > _MOST_VALUES:
            raise _error(f"IN may have {_MOST_VALUES} values, got {len(values)}.")
        return values

    def _literal(self) -> _Token:
        token = self._take()
        is_word = token.kind == "word" and token.text.upper() in ("TRUE", "FALSE")
        if token.kind not in ("number", "string") and not is_word:
            raise _error(f"A value (20, 'red', TRUE) is needed, got {token.said}.")
        return token

    def _column(self) -> _Column:
        token = self._take()
        name = token.text[1:-1] if token.kind == "quoted" else token.text
        is_name = token.kind == "quoted" or (
            token.kind == "word" and token.text.upper() not in _KEYWORDS
        )
        if not is_name:
            raise _error(f"The name of a column is needed, got {token.said}.")
        if name not in self._columns:
            alike = [one for one in self._columns if one.lower() == name.lower()]
            if len(alike) != 1:
                known = ", ".join(list(self._columns)[:30])
                raise _error(f"A column must be one of {known}, got {token.said}.")
            name = alike[0]
        return _Column(name, self._columns[name])


@dataclass(frozen=True)
class _Column:
    """A column and how values are compared with it."""

    name: str
    type: pa.DataType

    @property
    def sql(self) -> str:
        """The name as SQL."""
        return f"`{self.name}`"

    @property
    def kind(self) -> str | None:
        """The type as the API calls it."""
        return kind_of(self.type)

    def compared(self, sign: str, value: _Token) -> str:
        """Return ``column sign value``."""
        if self.kind == "list":
            if sign not in ("=", "<>"):
                raise _error(
                    f"The column {self.name} holds lists: =, != and IN are possible, got {sign}."
                )
            return self.has(value) if sign == "=" else f"NOT ({self.has(value)})"
        return f"{self.sql} {sign} {self._written(value, self.type)}"

    def has(self, value: _Token) -> str:
        """Return the condition that a list holds the value."""
        if self.kind != "list":
            raise _error(f"array_has needs a column of lists, got {self.name}, a {self.kind}.")
        return f"array_has({self.sql}, {self._written(value, self.type.value_type)})"

    def among(self, values: list[_Token]) -> str:
        """Return ``column IN (values)``."""
        if self.kind == "list":
            return f"({' OR '.join(self.has(value) for value in values)})"
        return f"{self.sql} IN ({', '.join(self._written(one, self.type) for one in values)})"

    def like(self, pattern: _Token) -> str:
        """Return ``column LIKE pattern``."""
        if self.kind != "string" or pattern.kind != "string":
            raise _error(
                f"LIKE compares a column of strings with a 'pattern', got {self.name}, "
                f"a {self.kind}, and {pattern.said}."
            )
        return f"{self.sql} LIKE {self._written(pattern, self.type)}"

    def _written(self, value: _Token, kind: pa.DataType) -> str:
        """Return a literal of the type as SQL."""
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        name = kind_of(kind)
        if name == "string" and value.kind == "string":
            if not value.text.isprintable():
                raise _error("A string may hold printable characters only, got others.")
            return value.text
        if name == "bool" and value.kind == "word":
            return value.text.upper()
        if name in ("int", "float") and value.kind == "number":
            number = float(value.text)
            if name == "float" and math.isfinite(number):
                return repr(number)
            if name == "int" and math.isfinite(number):
                return self._whole(value, kind)
        if name == "timestamp" and value.kind == "string":
            return self._time(value, kind)
        needed = {"string": "a 'string'", "bool": "TRUE or FALSE", "int": "a whole number",
                  "float": "a finite number", "timestamp": "a '2026-01-31 12:00:00'"}  # fmt: skip
        raise _error(f"The column {self.name} needs {needed[str(name)]}, got {value.said}.")

    def _whole(self, value: _Token, kind: pa.DataType) -> str:
        is_whole = re.fullmatch(r"[+-]?\d{1,30}(\.0*)?", value.text) is not None
        number = int(value.text.split(".")[0]) if is_whole else 0
        signed = pa.types.is_signed_integer(kind)
        bits = kind.bit_width - 1 if signed else kind.bit_width
        # The least number of int64 cannot be written: SQL reads a minus before a larger one.
        highest = min(2**bits, 2**63) - 1
        if not is_whole or not (-highest if signed else 0) <= number <= highest:
            low = f"-{highest}" if signed else "0"
            raise _error(
                f"The column {self.name} needs a whole number from {low} to {highest}, "
                f"got {value.said}."
            )
        return str(number)

    def _time(self, value: _Token, kind: pa.DataType) -> str:
        try:
            moment = datetime.fromisoformat(value.text[1:-1])
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            raise _error(
                f"The column {self.name} needs a time such as '2026-01-31' or "
                f"'2026-01-31 12:00:00', got {value.said}."
            ) from None
        if pa.types.is_date(kind):
            return f"date '{moment.date().isoformat()}'"
        return f"timestamp '{moment.isoformat(sep=' ')}'"
