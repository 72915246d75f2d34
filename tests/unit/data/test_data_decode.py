import io

import numpy as np
import pytest
from PIL import Image

from anybit.data import decode_image
from anybit.errors import DataError


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_allowed_formats_decode_to_rgb(kind):
    image = decode_image(encoded(Image.new("RGB", (6, 4), (200, 30, 30)), kind))
    assert (image.mode, image.size) == ("RGB", (6, 4))
    # JPEG and WebP are lossy, GIF has a palette.
    np.testing.assert_allclose(np.asarray(image)[0, 0], (200, 30, 30), atol=6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode):
    base = Image.new("L", (3, 3), 255)
    image = base.convert("I").convert("I;16") if mode == "I;16" else base.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert decode_image(encoded(image, kind)).mode == "RGB"


def test_transparent_is_white():
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    np.testing.assert_array_equal(np.asarray(decode_image(encoded(clear))), 255)
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    np.testing.assert_allclose(np.asarray(decode_image(encoded(half))), 127, atol=1)


def test_palette_and_rgb_transparency_are_white():
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    data = encoded(palette, transparency=1)
    np.testing.assert_array_equal(np.asarray(decode_image(data)), 255)
    data = encoded(Image.new("RGB", (2, 2), (9, 9, 9)), transparency=(9, 9, 9))
    np.testing.assert_array_equal(np.asarray(decode_image(data)), 255)


def test_sixteen_bit_grey_is_scaled():
    grey = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    image = decode_image(encoded(Image.fromarray(grey)))
    np.testing.assert_array_equal(np.asarray(image)[0, :, 0], [0, 1, 128, 255])


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    data = encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)
    assert decode_image(data).size == (4, 8)


def test_pixel_limit_is_strict():
    data = encoded(Image.new("L", (10, 10)))
    assert decode_image(data, max_pixels=100).size == (10, 10)
    with pytest.raises(DataError, match="at most 99 pixels, got 10 x 10"):
        decode_image(data, max_pixels=99)


def test_missing_foreign_and_empty_are_refused(tmp_path):
    with pytest.raises(DataError, match="missing"):
        decode_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="must be JPEG, PNG"):
        decode_image(encoded(Image.new("RGB", (2, 2)), "TGA"))
    with pytest.raises(DataError, match="is empty"):
        decode_image(b"")
