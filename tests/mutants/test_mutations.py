"""Which changes of a source file there are, and which are left out."""

from __future__ import annotations

import pytest

from mutants.mutations import SourceFile


def changed_lines(text):
    """The changed lines of every mutant of a text."""
    source = SourceFile(text)
    mutated = [source.mutated(change) for change in source.changes]
    return [source.lines_changed(one)[2] for one in mutated if one is not None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total = a + b\n", ["total = None", "total = a - b"]),
        ("total += 2\n", ["total = 2", "total -= 2", "total += 3"]),
        ("if is_on:\n    go = 1\n", ["if not (is_on):", "go = None", "go = 2"]),
        ("if not is_on:\n    go()\n", ["if is_on:", "pass"]),
        ("if a == b:\n    go()\n", ["if a != b:", "pass"]),
        ("if a < b:\n    go()\n", ["if not (a < b):", "if a <= b:", "pass"]),
        ("c = [x for x in y if x]\n", ["c = None", "c = [x for x in y if not (x)]"]),
        ("call(1)\n", ["pass", "call(None)", "call(2)"]),
        ("raise ValueError(f'{1 + 1} is odd')\n", ["pass"]),
        ("kind = 'mean'\n", ["kind = None", "kind = 'XXmeanXX'", "kind = 'MEAN'"]),
    ],
)
def test_every_change_of_a_line_is_found(text, expected):
    assert sorted(changed_lines(text)) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        '"""What a module is for."""\n',
        'def f():\n    """Say 1 + 1."""\n',
        "def f(a: list[1] | None) -> dict[2, 3]: ...\n",
        "@cache(maxsize=1)\ndef f(): ...\n",
        "@overload\ndef f(a=1): ...\n",
        "from a import b\nimport c\n",
        "__all__ = ['a', 'b']\n",
        "_log.info('%d of %d', a + 1, 2)\n",
        "logging.getLogger(__name__).warning('odd')\n",
        "warnings.warn('old', stacklevel=2)\n",
        "TITLE = 'Deep quantization'\n",
        "TITLE: str = 'Deep ' 'quantization'\n",
        "Kind = Literal['a', 'b']\n",
        "Value = int | Literal['a']\n",
        "T = TypeVar('T', bound=int)\n",
        "if TYPE_CHECKING:\n    from a import b\n    C = 1\n",
        "size: int\n",
    ],
)
def test_what_no_test_should_notice_is_left_out(text):
    assert changed_lines(text) == []


def test_strictness_of_zip_is_left_out_and_its_arguments_are_not():
    found = changed_lines("for a, b in zip(c, d, strict=True):\n    pass\n")
    assert found == [
        "for a, b in zip(None, d, strict=True):",
        "for a, b in zip(c, None, strict=True):",
        "for a, b in zip(d, strict=True):",
        "for a, b in zip(c, strict=True):",
    ]


def test_only_the_keyword_strict_is_left_out():
    assert "a = f(1, )" in changed_lines("a = f(1, strict_mode=True)\n")


def statements(text):
    return {change.statement for change in SourceFile(text).changes}


def test_a_statement_knows_the_lines_that_run_it():
    text = (
        "class A:\n"
        "    size: int = 1\n"
        "    def f(self, n=2):\n"
        "        if n:\n"
        "            g(\n"
        "                3,\n"
        "            )\n"
    )
    found = {one.text: one for one in statements(text)}
    places = {
        name: (one.scope, one.is_in_function, one.first_line, one.last_line, one.names)
        for name, one in found.items()
    }
    assert places == {
        "size: int = 1": ("A", False, 2, 2, ("size",)),
        "def f(self, n=2):": ("A", True, 4, 7, ()),
        "if n:": ("A.f", True, 4, 4, ()),
        "g( 3, )": ("A.f", True, 5, 7, ()),
    }


def test_lines_changed_are_those_that_differ():
    source = SourceFile("a = 1\nb = f(\n    2,\n    3,\n)\n")
    assert source.lines_changed("a = 1\nb = f(\n    2,\n    4,\n)\n") == (4, "3,", "4,")


def test_a_value_that_becomes_none_is_told_from_one_that_goes():
    source = SourceFile("a = f(b, c)\n")
    found = {source.lines_changed(source.mutated(one))[2]: one.is_to_none for one in source.changes}
    assert found == {
        "a = None": True,
        "a = f(None, c)": True,
        "a = f(b, None)": True,
        "a = f(c)": False,
        "a = f(b, )": False,
    }
