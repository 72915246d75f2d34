"""What may not be read now is told from what is damaged."""

from __future__ import annotations

import os
import resource
import shutil

import numpy as np
import pytest

from anybit.codes import Codebooks, ModelFolder, read_model_folder, write_model_folder
from anybit.collection import Collection
from anybit.errors import FormatError, OptionError
from anybit.store import CodeStore

DIM = 4
PARTS = [
    "collection.json", "model", "model/config.json", "model/model.safetensors", "items.lance",
    "items.lance/_versions", "items.lance/_checksums", "items.lance/data",
]  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    values = np.random.default_rng(0).random((2, 16, DIM)).astype(np.float32)
    content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(tmp_path / "model", content, Codebooks.stacked(values))
    made = Collection.create(tmp_path / "shop", tmp_path / "model")
    made.add_codes(
        made.codebooks.encode(np.zeros((3, DIM), np.float32)), np.arange(3), made.model_fingerprint
    )
    return made


def _read(path, **options):
    opened = Collection.open(path, **options)
    return opened.get(np.arange(3)).num_rows


@pytest.mark.parametrize("skip_damaged", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_without_the_right_to_read_it_is_not_damaged(
    shop, part, skip_damaged, without_root_rights
):
    place = shop.path / part
    rights = place.stat().st_mode
    place.chmod(0)
    try:
        with pytest.raises(OptionError, match=r"must be readable, got: Permission denied") as told:
            _read(shop.path, skip_damaged=skip_damaged)
    finally:
        place.chmod(rights)
    assert "Change its permissions" in str(told.value)
    assert _read(shop.path) == 3


def test_data_without_the_right_to_read_it_are_not_given_up(shop, without_root_rights):
    [file] = (shop.path / "items.lance" / "data").iterdir()
    file.chmod(0)
    try:
        with pytest.raises(OptionError, match=r"Permission denied"):
            Collection.open(shop.path).drop_damaged()
        with pytest.raises(OptionError, match=r"must be readable"):
            Collection.open(shop.path).verify()
    finally:
        file.chmod(0o644)
    assert _read(shop.path) == 3


def test_too_many_open_files_are_not_damage(shop):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = max(map(int, os.listdir("/proc/self/fd"))) + 1
    _read(shop.path)  # imports
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n_open // n_open, limits[1]))
        with pytest.raises(OptionError, match=r"Too many open files.*ulimit -n"):
            CodeStore.open(shop.path / "items.lance")
        with pytest.raises(OptionError, match=r"Too many open files.*ulimit -n"):
            read_model_folder(shop.path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert _read(shop.path) == 3


@pytest.mark.parametrize("part", PARTS[1:])
def test_a_part_that_is_missing_is_still_damage(shop, part):
    place = shop.path / part
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(FormatError):
        _read(shop.path)
