"""A filter as a tree, evaluated over one row at a time."""

from __future__ import annotations


def truth(row, tree):
    """Return True, False or None, as SQL defines it.

    A tree is ("and" | "or", [trees]), ("not", tree), ("null", column), or
    (sign | "in" | "like" | "ilike", column, value); a column is a tuple of names.
    """
    kind, first, *rest = tree
    if kind in ("and", "or"):
        decisive, parts = kind == "or", [truth(row, one) for one in first]
        return decisive if decisive in parts else None if None in parts else not decisive
    if kind == "not":
        inner = truth(row, first)
        return None if inner is None else not inner
    value = row
    for name in first:
        value = None if value is None else value[name]
    if kind == "null":
        return value is None
    if value is None:
        return None
    wanted = rest[0]
    if isinstance(value, list):
        held = any(one in value for one in (wanted if kind == "in" else [wanted]))
        return not held if kind == "!=" else held
    tests = {
        "=": lambda: value == wanted, "!=": lambda: value != wanted, "<": lambda: value < wanted,
        "<=": lambda: value <= wanted, ">": lambda: value > wanted, ">=": lambda: value >= wanted,
        "in": lambda: any(value == one for one in wanted), "like": lambda: like(value, wanted),
        "ilike": lambda: like(value.lower(), wanted.lower()),
    }  # fmt: skip
    return tests[kind]()


def like(text, pattern):
    """Match the whole text, trying every length for a percent sign."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[start:], pattern[1:]) for start in range(len(text) + 1))
    one, rest = (pattern[1], pattern[2:]) if pattern[0] == "\\" else (pattern[0], pattern[1:])
    is_any = pattern[0] == "_"
    return bool(text) and (is_any or text[0] == one) and like(text[1:], rest)
