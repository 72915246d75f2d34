"""Files that are whole after a crash."""

import os

import pytest

from anybit.codes import replace_file


def test_content_is_in_the_file_before_it_is_synchronised(tmp_path, monkeypatch):
    sizes = []
    fsync = os.fsync

    def observed(descriptor):
        sizes.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", observed)
    replace_file(tmp_path / "a", b"12345")
    assert sizes[0] == 5
    assert len(sizes) == 2  # the folder, too
    assert (tmp_path / "a").read_bytes() == b"12345"


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    replace_file(tmp_path / "a", b"old")

    def refused(*_):
        raise OSError("full")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="full"):
        replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
