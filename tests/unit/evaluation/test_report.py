import re
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

from anybit.evaluation import (
    EvaluationOptions,
    ExampleHit,
    ExampleHits,
    ExampleQuery,
    evaluate,
    write_report,
)
from anybit.evaluation.plots import DARK, PLOTS, draw

OPTIONS = EvaluationOptions(at=20, precision_at=(5,), ndcg_at=7, n_threads=1)


@pytest.fixture
def evaluation(make_input):
    return evaluate(make_input(), OPTIONS)


def picture():
    buffer = BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def example(thumbnail):
    hits = (
        ExampleHit("cats/<1>.jpg", ("cat & dog",), 0.9, True, thumbnail),
        ExampleHit("cars/2.jpg", ("car",), 0.5, False, thumbnail),
    )
    return ExampleQuery("cats/0.jpg", ("cat & dog",), thumbnail, (ExampleHits(2, hits),))


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.open, self.links = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "source", "br"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_valid_page_that_loads_nothing(evaluation, tmp_path):
    page = write_report(tmp_path, evaluation, [example(picture())]).read_text()
    tags = Tags(page)
    assert tags.open == []
    assert len(tags.links) == 2 * len(PLOTS) + 3
    assert all(link.startswith("data:image/") for link in tags.links)
    assert "<script" not in page
    assert not re.search(r"url\(|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_relevant_hits_are_marked_by_a_sign_and_a_word(evaluation, tmp_path):
    page = write_report(tmp_path, evaluation, [example(picture())]).read_text()
    assert re.findall(r'aria-label="([^"]+)">(.)<', page) == [
        ("relevant", "✓"),
        ("not relevant", "✗"),
    ]
    assert "1 of 2 relevant" in page


@pytest.mark.parametrize("thumbnail", [None, b"no picture"])
def test_keys_stand_in_for_missing_pictures_and_are_escaped(evaluation, tmp_path, thumbnail):
    page = write_report(tmp_path, evaluation, [example(thumbnail)]).read_text()
    assert '<div class="key">cats/&lt;1&gt;.jpg</div>' in page
    assert "cat &amp; dog" in page
    assert "<1>" not in page


def test_figures_of_the_table_are_in_the_page(evaluation, tmp_path):
    page = write_report(tmp_path, evaluation, title="A & B").read_text()
    for row in evaluation.table_rows():
        for value in row.values:
            assert f"<td>{value}</td>" in page
    assert "<h1>A &amp; B</h1>" in page
    assert "Example queries" not in page


@pytest.mark.parametrize("name", PLOTS)
def test_plots_are_pictures_in_both_themes(evaluation, name):
    assert draw(evaluation, name, "png").startswith(b"\x89PNG")
    assert b"<svg" in draw(evaluation, name, "svg", DARK)


def test_plots_without_float_features_and_with_one_length(make_input):
    from dataclasses import replace

    data = replace(make_input(), database_features=None)
    result = evaluate(data, replace(OPTIONS, bits=(2,)))
    for name in PLOTS:
        assert draw(result, name, "png")


def test_importing_evaluation_does_not_import_matplotlib():
    code = "import sys, anybit.evaluation; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
