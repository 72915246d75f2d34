"""What the documents promise: code that parses, names and flags that exist, links that lead."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

import anybit
from anybit.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def by_name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_python_of_documents_parses_and_uses_public_names(path):
    for text in blocks(path, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "anybit":
                assert node.attr in anybit.__all__
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anybit"):
                module = __import__(node.module, fromlist=["__all__"])
                assert {name.name for name in node.names} <= set(module.__all__)


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_commands_of_documents_exist_with_their_flags(path):
    group = typer.main.get_command(app)
    text = "".join(blocks(path, "") + blocks(path, "sh") + blocks(path, "bash"))
    lines = text.replace("\\\n", " ").splitlines()
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True) if "anybit " in line else []
        if len(words) < 2 or not words[0].endswith("anybit") or words[1].startswith("-"):
            continue
        assert words[1] in group.commands, line
        command = group.commands[words[1]]
        if hasattr(command, "commands"):
            assert words[2] in command.commands, line
            command = command.commands[words[2]]
        known = {flag for option in command.params for flag in option.opts}
        flags = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
        assert flags <= known | {"--help"}, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_links_of_documents_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def test_self_contained_python_of_the_readme_runs():
    runnable = [text for text in blocks(ROOT / "README.md", "python") if '"photos/"' not in text]
    assert runnable
    for text in runnable:
        exec(compile(text, "README.md", "exec"), {})
