import numpy as np
import pytest
from PIL import Image

from anybit.data import Preprocessor
from anybit.errors import FormatError, OptionError


def picture(width, height):
    columns = np.arange(width, dtype=np.uint8)
    return Image.fromarray(np.broadcast_to(columns[None, :, None], (height, width, 3)).copy())


def test_fitting_picture_is_left_alone():
    image = picture(8, 8)
    np.testing.assert_array_equal(Preprocessor(8).to_uint8(image), np.asarray(image))


def test_centre_crop_without_resize():
    pixels = Preprocessor(4).to_uint8(picture(10, 4))
    np.testing.assert_array_equal(pixels[0, :, 0], [3, 4, 5, 6])


@pytest.mark.parametrize("size", [(50, 20), (20, 50), (3, 2), (1, 1)])
@pytest.mark.parametrize("options", [{}, {"resize_px": 12}, {"is_squash": True}])
def test_result_has_the_asked_size(size, options):
    preprocessor = Preprocessor(8, **options)
    assert preprocessor.to_uint8(picture(*size)).shape == (8, 8, 3)
    assert preprocessor(picture(*size)).shape == (3, 8, 8)


def test_very_oblong_picture_stays_small():
    assert Preprocessor(64).to_uint8(Image.new("RGB", (200_000, 1))).shape == (64, 64, 3)


def test_normalise_equals_formula():
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    preprocessor = Preprocessor(3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    expected = ((pixels / 255.0 - preprocessor.mean) / preprocessor.std).transpose(0, 3, 1, 2)
    got = preprocessor.normalise(pixels)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-6)  # float32 rounding of values up to 2


def test_dict_round_trip_keeps_fingerprint():
    preprocessor = Preprocessor(224, 256, "bicubic", is_squash=True)
    again = Preprocessor.from_dict(preprocessor.to_dict())
    assert again == preprocessor
    assert again.fingerprint == preprocessor.fingerprint
    assert Preprocessor(224, 257).fingerprint != Preprocessor(224, 256).fingerprint


def test_wrong_settings_are_refused():
    with pytest.raises(OptionError, match="at least size_px = 8, got 4"):
        Preprocessor(8, resize_px=4)
    with pytest.raises(OptionError, match="std positive"):
        Preprocessor(8, std=(1, 0, 1))
    with pytest.raises(OptionError, match="interpolation must be"):
        Preprocessor(8, interpolation="magic")
    with pytest.raises(FormatError, match="colour"):
        Preprocessor.from_dict({"size_px": 8, "colour": 1})
    with pytest.raises(FormatError, match="not usable"):
        Preprocessor.from_dict({})
