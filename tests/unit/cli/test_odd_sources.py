"""Folders with odd names, rights and formats, by the commands alone."""

from __future__ import annotations

import csv
import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from anybit.cli import app
from anybit.collection import AddOptions, Collection
from anybit.data import Preprocessor, open_source
from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")


def run(*arguments):
    return CliRunner().invoke(app, [str(part) for part in arguments])


def draw(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((16, 16, 3), shade, dtype=np.uint8)
    pixels[:8] = 255 - shade
    Image.fromarray(pixels).save(path, "PNG")


def saved_model(folder, seed):
    """Write a network that has learned nothing: what its codes are does not matter here."""
    torch.manual_seed(seed)
    backbone = BackboneConfig("resnet-small", 16, {"widths": [4, 8, 8]})
    drq = DRQ(DRQConfig(backbone, QuantizerConfig(n_levels=2, n_codewords=16))).eval()
    drq.preprocessor = Preprocessor(16).to_dict()
    drq.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model") / "m", 0)


@pytest.fixture
def collection(model, tmp_path):
    result = run("create", tmp_path / "c.anybit", "--model", model, "-q")
    assert result.exit_code == 0, result.output
    return tmp_path / "c.anybit"


def bad_lines(collection):
    with (collection / "bad-items.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_odd_names_are_added_searched_and_migrated(collection, model, tmp_path):
    photos = tmp_path / os.fsdecode(b"ph\xf6tos")
    names = (b"caf\xe9/0.png", b"red/a\nb\x1b[2J.png", "gr\u00fcn/1.png".encode())
    for shade, name in enumerate(names):
        draw(photos / os.fsdecode(name), 60 * shade)
    added = run("add", collection, photos)
    assert added.exit_code == 0, added.output
    assert "\x1b" not in added.output
    assert "ph\\xf6tos" in added.stderr
    found = run("search", collection, photos / os.fsdecode(names[0]), "--json")
    hits = json.loads(found.stdout)["hits"]
    assert {hit["key"] for hit in hits} == {
        "caf\\xe9/0.png",
        "gr\u00fcn/1.png",
        "red/a\nb\x1b[2J.png",
    }
    assert ["caf\\xe9"] in [hit["labels"] for hit in hits]
    assert "\x1b" not in run("search", collection, photos / os.fsdecode(names[1])).output
    migrated = run("migrate", collection, "--model", saved_model(tmp_path / "other", 1))
    assert migrated.exit_code == 0, migrated.output


def test_what_cannot_be_read_is_listed_and_ends_with_3(collection, tmp_path, without_root_rights):
    photos = tmp_path / "photos"
    for number in range(4):
        draw(photos / "red" / f"{number}.png", 40 * number)
    draw(photos / "closed" / "x.png", 9)
    (photos / "red/raw.NEF").write_bytes(b"x" * 50)
    (photos / "red/3.png").write_bytes(b"no picture")
    (photos / "red/notes.txt").write_text("x")
    (photos / "closed").chmod(0)
    try:
        result = run("add", collection, photos, "--max-bad", 0.25, "--json")
    finally:
        (photos / "closed").chmod(0o755)
    assert result.exit_code == 3, result.output
    report = json.loads(result.stdout)
    assert (report["n_added"], report["n_bad"]) == (3, 3)
    listed = bad_lines(collection)
    assert [line[:2] for line in listed] == [
        ["3", "red/3.png"],
        ["", "closed"],
        ["", "red/raw.NEF"],
    ]
    assert "Skipped 2 unsupported files (.NEF: 1, .txt: 1)" in result.stderr
    assert "metadata" not in result.output


def test_unreadable_formats_do_not_count_as_bad_items(collection, tmp_path):
    draw(tmp_path / "photos/0.png", 7)
    for number in range(9):
        (tmp_path / "photos" / f"{number}.cr2").write_bytes(b"x")
    result = run("add", collection, tmp_path / "photos", "-q")
    assert result.exit_code == 3, result.output
    assert len(bad_lines(collection)) == 9
    (tmp_path / "photos/0.png").write_bytes(b"")
    result = run("add", collection, tmp_path / "photos", "-q")
    assert result.exit_code == 1
    assert "got 1 of 1" in result.stderr


def test_training_tells_what_it_left_out(tmp_path, rng):
    for number in range(8):
        draw(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", 30 * number)
    (tmp_path / "photos/a/x.psd").write_bytes(b"8BPS")
    result = run(
        "train", tmp_path / "photos", "-o", tmp_path / "model", "--bits", 4, "--codewords", 4,
        "--backbone-options", '{"widths": [4, 8, 8]}', "--input-px", 16, "--batch-size", 4,
        "--epochs", "1,1,1", "-q",
    )  # fmt: skip
    assert result.exit_code == 3, result.output
    assert "1 items could not be used; listed in" in result.stderr
    assert "a/x.psd" in (tmp_path / "model.run" / "bad_items.csv").read_text()
    assert (tmp_path / "model" / "config.json").exists()


def test_a_file_that_vanishes_before_it_is_stored_is_one_line(model, tmp_path):
    for number in range(3):
        draw(tmp_path / "photos" / f"{number}.png", 40 * number)
    stored = Collection.create(tmp_path / "c.anybit", model)
    source = open_source(tmp_path / "photos")
    read = source.read_with_digest

    def read_and_remove(position):
        found = read(position)
        if position == 1:
            (tmp_path / "photos/1.png").unlink()
        return found

    source.read_with_digest = read_and_remove
    report = stored.add(source, AddOptions(store_images=True, max_bad=0.5))
    assert (report.n_added, report.n_bad) == (2, 1)
    assert "1,1.png,the image file is missing" in (tmp_path / "c.anybit/bad-items.csv").read_text()
