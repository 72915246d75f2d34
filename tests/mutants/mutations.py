"""Every mutant that a source file can have, less those that no test should tell apart."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from mutants.operators import OPERATORS

__all__ = ["Change", "SourceFile", "Statement"]

# Names whose calls write for a reader, say something to the type checker, or, as mutmut has it,
# fail at once whatever is changed in them.
_LOGS = {"_log", "log", "logger", "logging", "warnings"}
_LEFT_ALONE = {"isinstance", "len", "cast", "TypeVar", "NewType", "ParamSpec"}


@dataclass(frozen=True)
class Statement:
    """A simple statement, or the head of a compound one.

    Parameters
    ----------
    scope : str
        Dotted name of the function or class around it; empty at the top of a module.
    is_in_function : bool
    first_line, last_line : int
        Lines that run it: its own, or, for the head of a function, those of the body.
    names : tuple of str
        What it binds.
    text : str
    """

    scope: str
    is_in_function: bool
    first_line: int
    last_line: int
    names: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Change:
    """One change of a statement.

    Parameters
    ----------
    statement : Statement
    operator : str
    original, mutated : CSTNode
    """

    statement: Statement
    operator: str
    original: cst.CSTNode
    mutated: cst.CSTNode

    @property
    def is_to_none(self) -> bool:
        """Whether ``None`` takes the place of a value, which mostly ends in a TypeError."""
        old, new = self.original, self.mutated
        if isinstance(old, cst.Call) and isinstance(new, cst.Call):
            return self.operator == "arg_removal" and len(old.args) == len(new.args)
        return self.operator == "assignment"


class SourceFile:
    """The text of a source file and its changes.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    changes : list of Change
        In the order of the text.

    Notes
    -----
    Left out: docstrings, annotations, decorators, imports, ``__all__``, aliases of types; calls of
    loggers and of `warnings`; what stands behind ``raise`` (its removal is a change); strings with
    a space, which are wording; ``strict`` of `zip`; branches for the type checker.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        wrapper = MetadataWrapper(cst.parse_module(text))
        self._module = wrapper.module
        finder = _Finder(text.splitlines())
        wrapper.visit(finder)
        self.changes = finder.changes
        self._tree = ast.dump(ast.parse(text))

    def mutated(self, change: Change) -> str | None:
        """Return the text with a change; None if that is no other program, or none at all."""
        module = self._module.deep_replace(change.original, change.mutated)
        text = module.code if isinstance(module, cst.Module) else ""
        try:
            compile(text, "mutant", "exec", dont_inherit=True)
        except SyntaxError:
            return None
        return None if ast.dump(ast.parse(text)) == self._tree else text

    def lines_changed(self, mutated: str) -> tuple[int, str, str]:
        """Return the first line number that differs, the lines before and the lines after."""
        old, new = self.text.splitlines(), mutated.splitlines()
        found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        blocks = [block for block in found if block[0] != "equal"]
        first, last = blocks[0], blocks[-1]
        before = _joined(old[first[1] : last[2]])
        return first[1] + 1, before, _joined(new[first[3] : last[4]])


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


class _Finder(cst.CSTVisitor):
    """Collects the changes of a module."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.changes: list[Change] = []
        self._lines = lines
        self._scope: list[cst.FunctionDef | cst.ClassDef] = []
        self._statements: list[tuple[cst.CSTNode, Statement]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if _is_left_out(node):
            return False
        if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            self._statements.append((node, self._statement(node)))
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._scope.append(node)
        if self._statements:
            self._collect(node)
        return not isinstance(node, cst.Raise)

    def on_leave(self, node: cst.CSTNode) -> None:
        if self._scope and self._scope[-1] is node:
            self._scope.pop()
        if self._statements and self._statements[-1][0] is node:
            self._statements.pop()

    def _collect(self, node: cst.CSTNode) -> None:
        statement = self._statements[-1][1]
        for name, (kind, operator) in OPERATORS:
            if isinstance(node, kind):
                self.changes += [
                    Change(statement, name, node, mutated)
                    for mutated in operator(node)
                    if not _is_strictness(node, mutated)
                ]

    def _statement(self, node: cst.CSTNode) -> Statement:
        place = self.get_metadata(PositionProvider, node)
        first, last = place.start.line, place.end.line
        body = getattr(node, "body", None)
        if isinstance(body, cst.BaseSuite):
            inner = self.get_metadata(PositionProvider, body)
            is_function = isinstance(node, cst.FunctionDef)
            head = max(first, inner.start.line - 1)
            text = _joined(self._lines[first - 1 : head])
            first, last = (inner.start.line, inner.end.line) if is_function else (first, head)
        else:
            is_function = False
            text = _joined(self._lines[first - 1 : last])
        scope = ".".join(one.name.value for one in self._scope)
        inside = any(isinstance(one, cst.FunctionDef) for one in self._scope)
        return Statement(scope, inside or is_function, first, last, _names(node), text)


def _names(node: cst.CSTNode) -> tuple[str, ...]:
    """Return what a simple statement binds."""
    if not isinstance(node, cst.SimpleStatementLine):
        return ()
    targets: list[cst.CSTNode] = []
    for part in node.body:
        if isinstance(part, cst.Assign):
            targets += [one.target for one in part.targets]
        elif isinstance(part, cst.AnnAssign):
            targets.append(part.target)
    return tuple(one.value for one in targets if isinstance(one, cst.Name))


def _is_left_out(node: cst.CSTNode) -> bool:
    """Tell whether a node and all below it stay as they are."""
    match node:
        case cst.Annotation() | cst.Decorator() | cst.Import() | cst.ImportFrom():
            return True
        case cst.SimpleString():
            return _is_wording(node)
        case cst.Expr(value=cst.BaseString()):
            return True
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
        case cst.Expr(value=cst.Call(func=func)) if _root(func) in _LOGS:
            return True
        case cst.Call(func=cst.Name(value=name)) if name in _LEFT_ALONE:
            return True
        case cst.Arg(keyword=cst.Name(value="strict")):
            return True
        case cst.FunctionDef(decorators=[cst.Decorator(decorator=cst.Name(value="overload")), *_]):
            return True
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="__all__"))]):
            return True
        case cst.Assign(value=value) | cst.AnnAssign(value=value):
            return _is_type(value) or _is_wording(value)
    return False


def _is_type(value: cst.BaseExpression | None) -> bool:
    """Tell whether an assigned value is a type: a checker's call, ``Literal[...]``, a union."""
    match value:
        case cst.Call(func=cst.Name(value=name)):
            return name in _LEFT_ALONE - {"len", "isinstance", "cast"}
        case cst.Subscript(value=cst.Name(value=name)):
            return name[0].isupper() and name not in name.upper()
        case cst.BinaryOperation(operator=cst.BitOr(), left=left, right=right):
            return _is_type(left) or _is_type(right)
    return False


def _is_wording(value: cst.BaseExpression | None) -> bool:
    """Tell whether a text is for readers: names and keywords have no spaces."""
    match value:
        case cst.SimpleString():
            return " " in value.value
        case cst.ConcatenatedString(left=left, right=right):
            return _is_wording(left) or _is_wording(right)
    return False


def _is_strictness(node: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    """Tell whether a call of `zip` changed in ``strict`` alone: it guards against our own bugs."""
    if not (isinstance(node, cst.Call) and isinstance(mutated, cst.Call)):
        return False
    old, new = (
        [arg for arg in call.args if arg.keyword is None or arg.keyword.value != "strict"]
        for call in (node, mutated)
    )
    return len(old) < len(node.args) and [id(arg.value) for arg in old] == [
        id(arg.value) for arg in new
    ]


def _root(node: cst.BaseExpression) -> str:
    while isinstance(node, cst.Attribute | cst.Call):
        node = node.value if isinstance(node, cst.Attribute) else node.func
    return node.value if isinstance(node, cst.Name) else ""
