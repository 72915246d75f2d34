import json
import os
import sys
from pathlib import Path

import pytest

from anybit.data import path_text, shown_name, text_path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")

NAMES = [
    b"caf\xe9.jpg",
    b"\xff\xfe",
    b"\xe4\xf6/\xfc.png",
    "gr\u00fcn.jpg".encode(),
    b"a\\xe9\xe9.jpg",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_text_of_a_name_is_unicode_and_leads_back_to_the_file(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    text = path_text(path)
    assert json.loads(json.dumps(text).encode("utf-8")) == text
    assert text_path(text) == path


def test_a_name_of_ordinary_characters_is_its_own_text():
    assert path_text("red/0 \u00e9.jpg") == "red/0 \u00e9.jpg"
    assert text_path("red/0.jpg") == Path("red/0.jpg")
    assert text_path("nowhere\\xe9.jpg") == Path("nowhere\\xe9.jpg")


def test_a_name_as_written_comes_before_the_byte_that_it_spells(tmp_path):
    literal, raw = tmp_path / "a\\xe9", tmp_path / os.fsdecode(b"a\xe9")
    assert path_text(literal) == path_text(raw)
    raw.touch()
    assert text_path(path_text(raw)) == raw
    literal.touch()
    assert text_path(path_text(literal)) == literal


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\r.jpg", "a\\x0ab\\x0d.jpg"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("caf\u00e9 \u6f22", "caf\u00e9 \u6f22"),
    ],
)
def test_shown_name_is_one_harmless_line(name, shown):
    assert shown_name(name) == shown
