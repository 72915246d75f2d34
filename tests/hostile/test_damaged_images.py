import io

import numpy as np
import pytest
from PIL import Image

from anybit.data import decode_image, open_source
from anybit.errors import AnybitError, DataError


def encoded(kind):
    noise = np.random.default_rng(7).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_cut_image_is_refused(kind):
    data = encoded(kind)
    for share in (0.1, 0.5, 0.8):
        with pytest.raises(DataError, match="image"):
            decode_image(data[: int(len(data) * share)])


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it mends; only our type matters here
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damaged_header_is_decoded_or_refused(kind):
    data = encoded(kind)
    n_refused = 0
    for place in range(64):
        for value in (0, 255):
            broken = bytearray(data)
            broken[place] = value
            try:
                assert decode_image(bytes(broken), max_pixels=10_000).mode == "RGB"
            except DataError:
                n_refused += 1
    assert n_refused > 0


def test_random_bytes_are_refused():
    rng = np.random.default_rng(3)
    for _ in range(300):
        with pytest.raises(DataError, match="image"):
            decode_image(rng.bytes(int(rng.integers(0, 200))))


def test_bomb_is_refused_by_its_header():
    file = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    with pytest.raises(DataError, match="pixels"):
        decode_image(file.getvalue(), max_pixels=1_000_000)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.fvecs", "a.parquet", "a.csv", "a.jsonl"])
def test_random_files_are_refused(name, tmp_path):
    rng = np.random.default_rng(4)
    for _ in range(50):
        (tmp_path / name).write_bytes(rng.bytes(int(rng.integers(0, 300))))
        with pytest.raises(AnybitError, match=name):
            open_source(tmp_path / name)
