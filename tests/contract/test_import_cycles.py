"""No two files import each other, neither directly nor by way of others.

Imports inside functions and those for annotations only (``if TYPE_CHECKING``) count as well: a file
that needs the other's types cannot be read without it.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import anybit

SRC = Path(anybit.__file__).parent


def module_name(path, package):
    """Return the dotted name of a file below the folder of a package."""
    parts = (package.name, *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(package):
    """Return the modules of a package, each with the modules of the package that it imports."""
    texts = {module_name(path, package): path.read_text() for path in package.rglob("*.py")}
    graph = {}
    for name, text in texts.items():
        found = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}:{node.lineno}: a relative import"
                full = [f"{node.module}.{one.name}" for one in node.names]
                found |= {one if one in texts else node.module for one in full}
            elif isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
        graph[name] = (found & texts.keys()) - {name}
    return graph


def cycle_of(graph):
    """Return one cycle of modules, the first one again at the end; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_two_files_import_each_other():
    assert cycle_of(import_graph(SRC)) == []


def test_the_rule_on_cycles_can_fail(tmp_path):
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").write_text("from p.a import x\n")
    (package / "a.py").write_text("x = 1\ndef f():\n    from p import b\n")
    (package / "b.py").write_text("from p.c import z\n")
    hidden = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import x\nz = 1\n"
    (package / "c.py").write_text(hidden)
    cycle = cycle_of(import_graph(package))
    assert sorted(set(cycle)) == ["p.a", "p.b", "p.c"]
    (package / "c.py").write_text("import os\nz = 1\n")
    assert import_graph(package)["p"] == {"p.a"}
    assert cycle_of(import_graph(package)) == []
