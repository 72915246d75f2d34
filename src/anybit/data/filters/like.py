"""Patterns of LIKE, matched in time linear in the text."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["like_matches", "parts_of_pattern"]

_ANY, _ONE = "%", "_"


def parts_of_pattern(pattern: str) -> list[tuple[str, str]]:
    r"""Split a pattern into ("%", ""), ("_", "") and ("text", literal) parts.

    A backslash makes the character after it a literal.

    Raises
    ------
    ValueError
        If the pattern ends in a backslash that escapes nothing.
    """
    parts: list[tuple[str, str]] = []
    characters = iter(pattern)
    for one in characters:
        if one in (_ANY, _ONE):
            if one == _ONE or parts[-1:] != [(_ANY, "")]:  # %% is %
                parts.append((one, ""))
            continue
        if one == "\\":
            following = next(characters, None)
            if following is None:
                raise ValueError("the pattern ends in a backslash")
            one = following
        if parts and parts[-1][0] == "text":
            parts[-1] = ("text", parts[-1][1] + one)
        else:
            parts.append(("text", one))
    return parts


def like_matches(texts: pa.Array, pattern: str, *, ignore_case: bool) -> pa.BooleanArray:
    """Return which texts (N,) match a pattern as a whole; null where the text is null.

    Notes
    -----
    ``match_like`` of Arrow is not used: it takes an escaped backslash within ``%...%`` for two.
    Patterns without ``_`` and with at most two ``%`` at the ends are plain comparisons; all others
    are regular expressions of RE2, which never backtracks.
    """
    parts = parts_of_pattern(pattern)
    kinds = [kind for kind, _ in parts]
    literal = next((text for kind, text in parts if kind == "text"), "")
    if not ignore_case:
        if kinds in ([], ["text"]):
            return pc.equal(texts, pa.scalar(literal, texts.type))
        if kinds == ["text", _ANY]:
            return pc.starts_with(texts, literal)
        if kinds == [_ANY, "text"]:
            return pc.ends_with(texts, literal)
        if kinds == [_ANY, "text", _ANY]:
            return pc.match_substring(texts, literal)
    # A % at an end needs no anchor, and the search may stop at the first match.
    start = "" if kinds[:1] == [_ANY] else r"\A"
    end = "" if kinds[-1:] == [_ANY] else r"\z"
    inner = parts[not start :]
    inner = inner[: len(inner) - 1] if not end and inner else inner
    written = {_ANY: ".*?", _ONE: "."}
    body = "".join(written.get(kind) or _literal(text) for kind, text in inner)
    case = "i" if ignore_case else ""
    return pc.match_substring_regex(texts, f"(?s{case}){start}{body}{end}")


def _literal(text: str) -> str:
    """Escape a literal for RE2, which knows fewer escapes than Python's `re`."""
    return re.sub(r"[!-/:-@\[-^`{-~]", lambda found: f"\\{found[0]}", text)
