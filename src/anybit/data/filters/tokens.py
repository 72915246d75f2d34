"""The words, signs and literals of a filter's text, each with its position."""

from __future__ import annotations

import re
from dataclasses import dataclass

from anybit.errors import FilterError

__all__ = ["KEYWORDS", "Token", "Tokens", "refusal"]

_TOKEN = re.compile(
    r"""
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|=|<|>|\(|\)|,|\.)
      | (?P<other>--|/\*|\|\||&&|.)
    """,
    re.VERBOSE | re.DOTALL,
)
KEYWORDS = frozenset("AND OR NOT IN IS NULL LIKE ILIKE BETWEEN TRUE FALSE".split())
"""Words that name a column only in quotes."""
_SELECT_ONLY = "A filter only selects items; take this part away."
_NO_ARITHMETIC = "Arithmetic is not supported; write the result, such as price < 20."
_WORD_CURES = {
    **dict.fromkeys(
        ["LIMIT", "ORDER", "OFFSET", "FETCH", "GROUP", "HAVING", "WHERE", "UNION"], _SELECT_ONLY
    ),
    "SELECT": "Subqueries are not supported; write the values, such as id IN (1, 2).",
    "ESCAPE": r"The escape character of LIKE is always \; take ESCAPE away.",
    "SIMILAR": "Use LIKE.",
    "REGEXP": "Use LIKE.",
    "XOR": "Use AND, OR and NOT.",
}
_SIGN_CURES = {
    ";": "A filter is one condition; take ; and what follows away.",
    "--": "Comments are not supported; take the comment away.",
    "/*": "Comments are not supported; take the comment away.",
    "#": "Comments are not supported; take the comment away.",
    "||": "Write OR for a choice of conditions; strings cannot be joined.",
    "&&": "Write AND.",
    "&": "Write AND.",
    "|": "Write OR.",
    "!": "Write NOT before a condition, or != between a column and a value.",
    **dict.fromkeys("+-*/%^", _NO_ARITHMETIC),
    "'": "End the string with '; a ' within it is written twice: 'it''s'.",
    '"': 'End the name with "; a " within it is written twice.',
    "`": "End the name with `; a ` within it is written twice.",
    **dict.fromkeys("\u2018\u2019\u201a\u2032", "Write strings in straight quotes: 'red'."),
    **dict.fromkeys("\u201c\u201d\u201e", "Write strings in straight single quotes: 'red'."),
    **dict.fromkeys("[]{}", "Write the values of IN in round brackets: colour IN ('red', 'blue')."),
    **dict.fromkeys(":?$@", "Placeholders are not supported; write the value."),
}


@dataclass(frozen=True)
class Token:
    """A piece of a filter's text.

    Parameters
    ----------
    kind : str
        number, string, quoted, word, sign, other or end.
    text : str
        As it was written.
    start : int
        Number of its first character, from 0.
    rest : str
        The text from there on, for messages; cut after some characters.
    """

    kind: str
    text: str
    start: int
    rest: str

    @property
    def word(self) -> str:
        """The word in capitals, or the sign; empty for all other tokens."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def value(self) -> str:
        """What is between the quotes of a string or a quoted name; else the text."""
        if self.kind not in ("string", "quoted"):
            return self.text
        quote = self.text[0]
        return self.text[1:-1].replace(quote * 2, quote)


class Tokens:
    """The tokens of a text, read one after another; nothing is refused here.

    Parameters
    ----------
    text : str
    """

    def __init__(self, text: str) -> None:
        self._text, self._end, self._position = text, len(text.rstrip()), 0
        self.next, self.after = self._read(), self._read()

    def take(self) -> Token:
        """Return the next token and go on; the one at the end stays."""
        taken = self.next
        self.next, self.after = self.after, self._read()
        return taken

    def _read(self) -> Token:
        while self._position < self._end and self._text[self._position].isspace():
            self._position += 1
        start = self._position
        match = _TOKEN.match(self._text, start, self._end)
        if match is None or match.lastgroup is None:  # the pattern matches any character
            return Token("end", "", self._end, "")
        self._position = match.end()
        rest = self._text[start : min(self._end, start + 40)]
        return Token(match.lastgroup, match[0], start, rest)


def refusal(required: str, token: Token, after: Token | None = None, cure: str = "") -> FilterError:
    """Return the error for a token that does not fit.

    Parameters
    ----------
    required : str
        What a filter must have there, a clause: "A filter must end here".
    token : Token
        Which does not fit.
    after : Token, optional
        The one that follows, which may tell what was meant.
    cure : str
        What to do, unless the token itself tells.
    """
    if token.kind == "end":
        got = "the end"
    else:
        shown = token.rest if len(token.rest) < 40 else f"{token.rest[:37]}..."
        got = f"{shown!r} at character {token.start + 1:,}"
    cures = _WORD_CURES if token.kind == "word" else _SIGN_CURES
    known = cures.get(token.text.upper(), "")
    if token.kind == "number" and token.text[0] in "+-":
        known = _NO_ARITHMETIC
    if token.text == "(" and after is not None:
        known = _WORD_CURES.get(after.word, "")
    if token.kind == "word" and after is not None and after.text == "(" and not known:
        known = (
            "Functions are not supported, except array_has(labels, 'cat') and "
            "array_length(labels) > 1."
        )
    return FilterError(f"{required}, got {got}.", known or cure, token.start + 1)
