import csv

import pytest

from anybit.data import BadItems
from anybit.errors import DataError, OptionError


def test_share_above_limit_is_an_error_that_names_the_first():
    bad = BadItems()
    bad.add(9, "b.jpg", "cut")
    bad.add(2, "a.jpg", "not\nan image")
    bad.check(200, 0.01)
    with pytest.raises(DataError, match=r"got 2 of 199 .*a.jpg: not an image"):
        bad.check(199, 0.01)


def test_report_lists_every_item(tmp_path):
    bad = BadItems()
    bad.add(3, 'odd,"name".jpg', "cut")
    path = bad.write(tmp_path / "deep" / "bad.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["position", "key", "reason"], ["3", 'odd,"name".jpg', "cut"]]


def test_unwritable_report_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OptionError, match=r"bad.csv must be writable, got: .*choose another path"):
        BadItems().write(tmp_path / "file" / "bad.csv")
