"""Literals of a filter as values of a column's type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from anybit.data.filters.columns import plain_type
from anybit.data.filters.tokens import Token
from anybit.errors import FilterError

__all__ = ["Literal", "compared_value", "exact_value", "text_of"]

_DATE = r"(\d{4})-(\d\d)-(\d\d)"
_CLOCK = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
_MOMENT = re.compile(rf"{_DATE}(?:[ T]{_CLOCK}\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE)
_TIME = re.compile(_CLOCK, re.ASCII)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_S = 86_400
_MOST_DIGITS, _MOST_EXPONENT = 200, 400
_FLOATS: dict[int, type[np.floating[Any]]] = {16: np.float16, 32: np.float32, 64: np.float64}
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Literal:
    """A value as it was written.

    Parameters
    ----------
    token : Token
        A number, a string, or the word TRUE or FALSE.
    prefix : str
        DATE, TIME or TIMESTAMP where the string follows that word; else empty.
    """

    token: Token
    prefix: str = ""

    @property
    def kind(self) -> str:
        """number, string or bool."""
        return "bool" if self.token.kind == "word" else self.token.kind


def text_of(column: str, literal: Literal) -> str:
    """Return the characters of a string literal."""
    if literal.kind != "string" or literal.prefix:
        raise _mismatch(column, "a 'string'", literal)
    return literal.token.value


def exact_value(column: str, kind: pa.DataType, literal: Literal) -> pa.Scalar:
    """Return a literal as a value that a column can hold.

    Parameters
    ----------
    column : str
        Its name, for messages.
    kind : pyarrow.DataType
        Of its values.
    literal : Literal

    Raises
    ------
    FilterError
        If the literal is of another kind, or no such value exists: 1.5 among whole numbers.
    """
    kind = plain_type(kind)
    if pa.types.is_boolean(kind):
        if literal.kind != "bool":
            raise _mismatch(column, "TRUE or FALSE", literal)
        return pa.scalar(literal.token.word == "TRUE")
    if pa.types.is_floating(kind):
        return _float(column, kind, literal)
    if _is_text(kind):
        text = text_of(column, literal)
        return pa.scalar(text, pa.string() if pa.types.is_string_view(kind) else kind)
    steps, (low, high) = _steps(column, kind, literal), _range(kind)
    if steps.denominator != 1 or not low <= steps <= high:
        raise _mismatch(column, _wanted(kind), literal)
    return _scalar(int(steps), kind)


def compared_value(
    column: str, kind: pa.DataType, sign: str, literal: Literal
) -> tuple[str, pa.Scalar]:
    """Return a comparison with a literal as one with a value that the column can hold.

    ``n < 1.5`` on whole numbers is ``n <= 1``, and ``n < 300`` on uint8 is ``n <= 255``. Equality
    needs a value that the column can hold.

    Parameters
    ----------
    column, kind, literal
        See `exact_value`.
    sign : {"=", "<>", "<", "<=", ">", ">="}

    Returns
    -------
    sign : str
    value : pyarrow.Scalar
    """
    kind = plain_type(kind)
    if sign in ("=", "<>") or _is_text(kind) or pa.types.is_floating(kind):
        return sign, exact_value(column, kind, literal)
    steps, (low, high) = _steps(column, kind, literal), _range(kind)
    is_upper = sign in ("<", "<=")
    if steps > high:
        return ("<=" if is_upper else ">"), _scalar(high, kind)
    if steps < low:
        return ("<" if is_upper else ">="), _scalar(low, kind)
    if steps.denominator == 1:
        return sign, _scalar(int(steps), kind)
    floor = steps.numerator // steps.denominator
    return ("<=", _scalar(floor, kind)) if is_upper else (">", _scalar(floor, kind))


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in tests)


def _mismatch(column: str, needed: str, literal: Literal, cure: str = "") -> FilterError:
    shown = literal.token.text
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    start = literal.token.start + 1
    return FilterError(
        f"The column {column} needs {needed}, got {shown} at character {start:,}.", cure, start
    )


def _wanted(kind: pa.DataType) -> str:
    """Say which values a type of steps has."""
    if pa.types.is_date(kind):
        return "a date such as '2026-01-31'"
    if pa.types.is_time(kind):
        return f"a time such as '12:00:00', exact to one {kind.unit}"
    if pa.types.is_timestamp(kind):
        return f"a time such as '2026-01-31' or '2026-01-31 12:00:00', exact to one {kind.unit}"
    low, high = _range(kind)
    if pa.types.is_decimal(kind):
        whole = kind.precision - kind.scale
        return f"a number with at most {whole} digits before the point and {kind.scale} after it"
    return f"a whole number from {low} to {high}"


def _float(column: str, kind: pa.DataType, literal: Literal) -> pa.Scalar:
    narrow = _FLOATS[kind.bit_width]
    if literal.kind != "number":
        raise _mismatch(column, "a number", literal)
    with np.errstate(over="ignore"):
        value = float(narrow(float(literal.token.text)))
    if not np.isfinite(value):
        raise _mismatch(column, f"a number of at most {np.finfo(narrow).max:.4g}", literal)
    # Arrow compares no float16; such columns are read as float32.
    return pa.scalar(value + 0.0, pa.float64() if kind.bit_width == 64 else pa.float32())


def _steps(column: str, kind: pa.DataType, literal: Literal) -> Fraction:
    """Return a literal in the steps of a type: units, days, or units of the last digit."""
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        if literal.kind != "number":
            raise _mismatch(column, "a number", literal)
        scale = kind.scale if pa.types.is_decimal(kind) else 0
        return _number(column, literal) * Fraction(10) ** scale
    prefixes = ("", "DATE") if pa.types.is_date(kind) else ("", "DATE", "TIMESTAMP")
    prefixes = ("", "TIME") if pa.types.is_time(kind) else prefixes
    if literal.kind != "string" or literal.prefix not in prefixes:
        raise _mismatch(column, _wanted(kind), literal)
    text = literal.token.value.strip()
    pattern = _TIME if pa.types.is_time(kind) else _MOMENT
    found = pattern.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        if pa.types.is_time(kind):
            return _clock(found.groups()) * _PER_SECOND[kind.unit]
        year, month, day, *clock, zone = found.groups()
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
        if pa.types.is_date(kind):
            if clock[0] is not None:
                raise ValueError(text)
            return Fraction(days)
        seconds = days * _DAY_S + _clock(tuple(clock)) - _offset_s(zone)
    except ValueError:
        raise _mismatch(column, _wanted(kind), literal) from None
    return seconds * _PER_SECOND[kind.unit]


def _number(column: str, literal: Literal) -> Fraction:
    digits, _, exponent = literal.token.text.lower().partition("e")
    if len(digits) > _MOST_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) > _MOST_EXPONENT:
        raise _mismatch(column, f"a number of at most {_MOST_DIGITS} digits", literal)
    return Fraction(literal.token.text)


def _clock(parts: tuple[str | None, ...]) -> Fraction:
    """Return the seconds of hour, minute, second and fraction, each a text or None."""
    hour, minute, second = (int(one or 0) for one in parts[:3])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no time of a day")
    fraction = parts[3] or "0"
    return Fraction(hour * 3600 + minute * 60 + second) + Fraction(
        int(fraction), 10 ** len(fraction)
    )


def _offset_s(zone: str | None) -> int:
    """Return the seconds that a zone is ahead of UTC; a time without a zone is in UTC."""
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError("no offset from UTC")
    return (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)


def _range(kind: pa.DataType) -> tuple[int, int]:
    """Return the least and the greatest value of a type, in steps."""
    if pa.types.is_decimal(kind):
        return -(10**kind.precision) + 1, 10**kind.precision - 1
    if pa.types.is_time(kind):
        return 0, _DAY_S * _PER_SECOND[kind.unit] - 1
    if pa.types.is_date64(kind):
        return -(2**63 // (_DAY_S * 1000)), 2**63 // (_DAY_S * 1000)
    if pa.types.is_unsigned_integer(kind):
        return 0, 2**kind.bit_width - 1
    return -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1


def _scalar(steps: int, kind: pa.DataType) -> pa.Scalar:
    """Return so many steps as a value of the type."""
    if pa.types.is_integer(kind):
        return pa.scalar(steps, kind)
    if pa.types.is_decimal(kind):
        digits = tuple(map(int, str(abs(steps))))
        return pa.scalar(Decimal((int(steps < 0), digits, -kind.scale)), kind)
    if pa.types.is_date64(kind):
        steps *= _DAY_S * 1000
    return pa.scalar(steps, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
