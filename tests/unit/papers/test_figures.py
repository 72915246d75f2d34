import io
import re
from dataclasses import replace

import numpy as np
import pytest

from anybit.errors import OptionError
from anybit.evaluation import DARK
from anybit.papers.pages.figures import (
    draw_map,
    draw_precision_at,
    draw_precision_recall,
    draw_ties,
)
from anybit.papers.results.result import Curve, ResultRow, Seeded

CURVES = (
    Curve("DRQ 16 bits", (0.1, 0.5, 1.0), (0.9, 0.8, 0.3), (0.8, 0.7, 0.2), (1.0, 0.9, 0.4)),
    Curve("DRQ 24 bits", (0.1, 0.5, 1.0), (0.95, 0.9, 0.4)),
    Curve("DQN 16 bits", (0.1, 0.5, 1.0), (0.7, 0.6, 0.2)),
)
RANKS = tuple(replace(curve, x=(1.0, 100.0, 5000.0)) for curve in CURVES)
ROWS = (
    ResultRow("DRQ", (Seeded.of([0.8, 0.9]), Seeded.of([0.85, 0.95])), (0.94, None)),
    ResultRow("DQN", (None, Seeded.of([0.7]))),
)
DRAWINGS = {
    "precision_recall": lambda kind, **more: draw_precision_recall(CURVES, kind, **more),
    "precision_at": lambda kind, **more: draw_precision_at(RANKS, kind, **more),
    "map": lambda kind, **more: draw_map(ROWS, (16, 24), kind, **more),
    "ties": lambda kind, **more: draw_ties(RANKS, kind, **more),
}


def pixels(png):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def has_colour(png, colour):
    """Whether many pixels have exactly this colour, such as "#0072b2"."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return (pixels(png) == wanted).all(axis=2).sum() > 20


def texts(svg):
    """The texts of an SVG whose letters are drawn as paths: matplotlib keeps them as comments."""
    return re.findall(r"<!-- (.*?) -->", svg.decode())


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_same_values_give_the_same_bytes(draw):
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        first = draw(kind)
        assert first.startswith(start)
        assert first == draw(kind)
    assert b"<dc:date>" not in draw("svg")


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_dark_theme_has_a_dark_background(draw):
    assert pixels(draw("png"))[0, 0].tolist() == [255, 255, 255]
    corner = pixels(draw("png", theme=DARK))[0, 0]
    assert corner.tolist() == [int(DARK.background[at : at + 2], 16) for at in (1, 3, 5)]


def test_curves_are_named_from_the_highest_to_the_lowest():
    found = [text for text in texts(draw_precision_recall(CURVES, "svg")) if "bits" in text]
    assert found == ["DRQ 24 bits", "DRQ 16 bits", "DQN 16 bits"]


def test_a_method_has_a_colour_and_a_length_a_dash():
    svg = draw_precision_recall(CURVES, "svg").decode()
    lines = set(
        re.findall(r"(?:stroke-dasharray: ([\d. ,]+)[^\"]*)?stroke: (#0072b2|#d55e00)", svg)
    )
    assert {colour for _, colour in lines} == {"#0072b2", "#d55e00"}  # two methods, no third
    assert len({dash for dash, colour in lines if colour == "#0072b2"}) == 2  # of two lengths


def test_curves_of_one_method_have_a_colour_each():
    png = draw_precision_recall(CURVES[:2], "png")
    assert has_colour(png, "#0072b2")
    assert has_colour(png, "#d55e00")


def test_ranks_are_logarithmic_only_over_a_wide_span():
    narrow = tuple(replace(curve, x=(100.0, 200.0, 300.0)) for curve in CURVES)
    assert {"1", "10", "100", "1,000"} <= set(texts(draw_precision_at(RANKS, "svg")))
    assert {"100", "200", "300"} <= set(texts(draw_precision_at(narrow, "svg")))


def test_map_names_ours_and_the_papers_where_there_are_values():
    svg = draw_map(ROWS, (16, 24), "svg", measure="mAP@5000")
    found = texts(svg)
    assert "mAP@5000" in found
    assert [text for text in found if "," in text] == ["DRQ, ours", "DRQ, paper", "DQN, ours"]
    assert b"fill: #0072b2; stroke: #0072b2" in svg  # ours, filled
    assert b"fill: #ffffff; stroke: #0072b2" in svg  # the paper's, hollow


def test_intervals_and_bands_change_the_picture():
    sure = (replace(ROWS[0], ours=(Seeded.of([0.85]), Seeded.of([0.9]))), ROWS[1])
    assert draw_map(ROWS, (16, 24), "png") != draw_map(sure, (16, 24), "png")
    plain = (replace(CURVES[0], lower=None, upper=None), *CURVES[1:])
    assert draw_precision_recall(CURVES, "png") != draw_precision_recall(plain, "png")


def test_wrong_arguments_are_refused():
    for draw in (draw_precision_recall, draw_precision_at, draw_ties):
        with pytest.raises(OptionError, match="at least one curve"):
            draw((), "png")
        with pytest.raises(OptionError, match="kind must be png or svg, got 'pdf'"):
            draw(CURVES, "pdf")
    with pytest.raises(OptionError, match="must have 3 entries"):
        draw_map(ROWS, (16, 24, 36), "png")
    with pytest.raises(OptionError, match="at least one row must have a value"):
        draw_map((ResultRow("DQN", (None,)),), (16,), "png")
