"""The list of methods in the documentation and of the command line is that of the registries."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from anybit.cli import app
from anybit.quantizers import METHODS
from anybit.training import IMAGE_METHODS, methods_page

ROOT = Path(__file__).parents[2]


def test_page_of_the_documentation_is_written_anew():
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    assert text == methods_page(), "run `make methods`"


def test_command_lists_every_method_with_what_it_needs():
    result = CliRunner().invoke(app, ["methods", "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["methods"]
    assert [(row["name"], row["kind"]) for row in rows] == [
        *((name, "images") for name in IMAGE_METHODS),
        *((name, "vectors") for name in METHODS),
    ]
    by_name = {(row["name"], row["kind"]): row for row in rows}
    assert by_name["dqn2+", "images"]["needs"] == ["torch", "labels", "faiss"]
    assert by_name["drq", "images"]["is_sequential"]
    assert not by_name["dqn", "images"]["is_sequential"]
    assert by_name["opq", "vectors"]["needs"] == ["faiss"]
    assert all(row["reference"] for row in rows)


def test_command_prints_a_table():
    text = CliRunner().invoke(app, ["methods"]).stdout
    assert all(name in text for name in (*IMAGE_METHODS, *METHODS))
    assert "IJCAI 2019" in text
