"""Small picture files."""

import pytest
from PIL import Image


@pytest.fixture
def put():
    """Return a function that writes a grey PNG file, with the folders above it."""

    def write(path, shade=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (shade, shade, shade)).save(path, "PNG")

    return write
