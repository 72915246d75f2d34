"""Picture formats beyond the common ones: AVIF, HEIC, and what is said of the others."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, features

from anybit.data import BadItems, Preprocessor, decode_image, formats, open_source
from anybit.errors import DataError

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
RED = Image.new("RGB", (16, 12), (200, 30, 30))


def encoded(kind):
    file = io.BytesIO()
    RED.save(file, kind)
    return file.getvalue()


@pytest.fixture
def without_heif(monkeypatch):
    """Hide the packages that decode HEIC."""
    for name in ("pillow_heif", "pi_heif"):
        monkeypatch.setitem(sys.modules, name, None)
    caches = (formats._heif_package, formats._register_heif, formats.readable_suffixes)
    for one in caches:
        one.cache_clear()
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    yield
    for one in caches:
        one.cache_clear()


@pytest.fixture
def heif():
    package = pytest.importorskip("pillow_heif")
    package.register_heif_opener()


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
@pytest.mark.parametrize("suffix", [".avif", ".AVIF", ".avifs"])
def test_avif_is_read(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(encoded("AVIF"))
    image = open_source(tmp_path).read_image(0)
    np.testing.assert_allclose(np.asarray(image)[5, 5], (200, 30, 30), atol=8)  # lossy


@pytest.mark.parametrize("suffix", [".heic", ".HEIC", ".heif", ".hif"])
def test_heic_is_read_with_its_decoder(tmp_path, heif, suffix):
    (tmp_path / f"a{suffix}").write_bytes(encoded("HEIF"))
    source = open_source(tmp_path)
    np.testing.assert_allclose(np.asarray(source.read_image(0))[5, 5], (200, 30, 30), atol=8)
    assert source.unusable == ()
    with pytest.raises(DataError, match="at most 100 pixels"):
        decode_image(encoded("HEIF"), max_pixels=100)


def test_damaged_heic_is_one_bad_item(tmp_path, heif):
    whole = encoded("HEIF")
    for name, data in (("a.heic", HEIC_HEAD), ("b.heic", whole[:-40]), ("c.heic", whole[:60])):
        (tmp_path / name).write_bytes(data)
    bad = BadItems()
    _, is_ok = open_source(tmp_path).uint8_batch(range(3), Preprocessor(4), bad)
    assert is_ok.tolist() == [False] * 3
    assert len(bad) == 3


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "b.heif", "c.hif"])
def test_heic_without_decoder_is_unusable_and_names_the_cure(tmp_path, put, without_heif, name):
    put(tmp_path / "red/0.png")
    (tmp_path / "red" / name).write_bytes(HEIC_HEAD)
    source = open_source(tmp_path)
    assert source.keys == ("red/0.png",)
    assert [one.key for one in source.unusable] == [f"red/{name}"]
    assert "anybit[heif]" in source.unusable[0].reason
    assert f"Skipped 1 unsupported file ({name[name.index('.') :]}: 1)" in source.describe()
    with pytest.raises(DataError, match=r"anybit\[heif\]"):
        decode_image(HEIC_HEAD)
    with pytest.raises(DataError, match=r"anybit\[heif\]"):
        open_source(tmp_path / "red" / name)


def test_a_heic_listed_in_a_manifest_is_a_bad_item_with_the_cure(tmp_path, without_heif):
    (tmp_path / "a.heic").write_bytes(HEIC_HEAD)
    (tmp_path / "m.csv").write_text("path\na.heic\n")
    with pytest.raises(DataError, match=r"a.heic: HEIC .*anybit\[heif\]"):
        open_source(tmp_path / "m.csv").read_image(0)


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", True),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", False),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B", False),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", False),
        (b"\xff\xd8\xff", False),
        (b"", False),
    ],
)
def test_heic_is_known_by_its_brands(head, answer):
    assert formats.is_heif(head) is answer


def test_a_picture_with_another_formats_suffix_is_read_by_its_content(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded("PNG"))
    assert open_source(tmp_path).read_image(0).size == (16, 12)
