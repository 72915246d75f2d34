"""The public lists are what they should be, and each name is there."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import anybit

SRC = Path(anybit.__file__).parent
ROOMS = sorted(path.parent.name for path in SRC.glob("*/__init__.py"))


def test_anybit_offers_these_names():
    assert sorted(anybit.__all__) == [
        "Codebooks",
        "Codes",
        "Collection",
        "DQN",
        "DRQ",
        "Index",
        "__version__",
        "evaluate",
        "train",
    ]
    for name in anybit.__all__:
        assert getattr(anybit, name) is not None
    assert set(anybit.__all__) <= set(dir(anybit))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        anybit.nonsense  # noqa: B018 - the access is the test


def test_version_is_that_of_pyproject():
    text = (SRC.parents[1] / "pyproject.toml").read_text()
    assert f'version = "{anybit.__version__}"' in text


@pytest.mark.parametrize("room", ROOMS)
def test_room_lists_what_it_imports_and_has_what_it_lists(room):
    module = importlib.import_module(f"anybit.{room}")
    tree = ast.parse((SRC / room / "__init__.py").read_text())
    imported = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anybit.")
        for name in node.names
    }
    assert set(module.__all__) == imported
    assert all(hasattr(module, name) for name in module.__all__)


def test_rooms_use_each_other_only_through_public_names():
    broken = []
    for path in SRC.rglob("*.py"):
        own = path.relative_to(SRC).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            parts = (getattr(node, "module", None) or "").split(".")
            if not isinstance(node, ast.ImportFrom) or parts[0] != "anybit" or len(parts) < 3:
                continue
            if parts[1] != own and (SRC / parts[1]).is_dir():
                broken.append(f"{path.relative_to(SRC)}:{node.lineno} {node.module}")
    assert broken == []


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("anybit", ("torch", "lance", "pyarrow", "numpy")),
        ("anybit.cli", ("torch", "lance", "pyarrow", "numpy", "PIL")),
        ("anybit.codes", ("torch", "lance", "matplotlib")),
        ("anybit.search", ("torch", "lance", "matplotlib")),
        ("anybit.data", ("torch", "lance", "matplotlib")),
        ("anybit.store", ("torch", "matplotlib")),
        ("anybit.evaluation", ("torch", "matplotlib", "sklearn")),
        ("anybit.advice", ("torch", "matplotlib", "sklearn")),
        ("anybit.collection", ("torch", "matplotlib", "sklearn")),
        ("anybit.training", ("torch", "numpy", "lance", "matplotlib", "sklearn")),
        ("anybit.serve", ("torch", "fastapi", "uvicorn", "matplotlib")),
    ],
)
def test_importing_a_room_stays_light(room, forbidden):
    code = f"import sys, {room}; print(*sorted(set(sys.modules) & set({forbidden!r})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
