"""From a folder of pictures to hits and a report, by the commands alone, with a real network."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from anybit.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [str(part) for part in arguments])


def draw(folder, per_class, rng):
    """Write pictures of 20 x 16 pixels: red ones and blue ones."""
    for name, channel in (("blue", 2), ("red", 0)):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(0, 60, (16, 20, 3), dtype=np.uint8)
            pixels[..., channel] += 180
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """40 pictures in two classes and a model of 2 levels trained on them."""
    folder = tmp_path_factory.mktemp("album")
    draw(folder / "photos", 20, np.random.default_rng(7))
    result = run(
        "train", folder / "photos", "-o", folder / "model", "--bits", 8, "--codewords", 16,
        "--backbone-options", '{"widths": [4, 8, 8]}', "--input-px", 16, "--batch-size", 8,
        "--epochs", "12,1,2", "--input-mean", 0.5, "--input-std", 0.5, "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def made(album, tmp_path):
    result = run("create", tmp_path / "a.anybit", "--model", album / "model", "-q")
    assert result.exit_code == 0, result.output
    return tmp_path / "a.anybit"


@pytest.mark.parametrize("flag", ["--backbone-options", "--preset-overrides"])
def test_json_flags_want_an_object(album, tmp_path, flag):
    result = run("train", album / "photos", "-o", tmp_path / "model", flag, "[1]")
    assert result.exit_code == 2
    assert "must be a JSON object, got '[1]'" in result.output


def test_normalisation_of_the_command_line_is_stored(album):
    preprocessor = json.loads((album / "model" / "preprocessor.json").read_text())
    assert preprocessor["mean"] == preprocessor["std"] == [0.5, 0.5, 0.5]


def test_from_photos_to_hits_and_a_report(album, tmp_path, rng):
    collection = made(album, tmp_path)
    added = run("add", collection, album / "photos", "--store-features", "--json")
    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout)["n_added"] == 40
    red = draw(tmp_path / "queries", 2, rng) / "red" / "00.png"
    found = run("search", collection, red, "-k", 5, "--bits", 4, "--save", tmp_path / "g.png",
                "--json")  # fmt: skip
    assert found.exit_code == 0, found.output
    assert [hit["labels"] for hit in json.loads(found.stdout)["hits"]] == [["red"]] * 5
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    report = run("evaluate", collection, tmp_path / "queries", "-o", tmp_path / "report", "-q")
    assert report.exit_code == 0, report.output
    assert "data:image/jpeg" in (tmp_path / "report" / "report.html").read_text()


def test_a_broken_picture_is_listed_and_ends_with_3(album, tmp_path, rng):
    collection, photos = made(album, tmp_path), draw(tmp_path / "photos", 10, rng)
    (photos / "red" / "00.png").write_bytes(b"no picture")
    result = run("add", collection, photos, "--max-bad", 0.05)
    assert result.exit_code == 3, result.output
    (listed,) = collection.parent.rglob("*bad*.csv")
    assert "red/00.png" in listed.read_text()
    assert listed.name in result.stderr
    assert json.loads(run("info", collection, "--json").stdout)["n_items"] == 19


def test_too_many_broken_pictures_add_nothing(album, tmp_path, rng):
    collection, photos = made(album, tmp_path), draw(tmp_path / "photos", 10, rng)
    (photos / "red" / "00.png").write_bytes(b"no picture")
    result = run("add", collection, photos)
    assert result.exit_code == 1
    assert "1 of 20" in result.stderr
    assert "--max-bad" in result.stderr or "max_bad" in result.stderr
    assert json.loads(run("info", collection, "--json").stdout)["n_items"] == 0
