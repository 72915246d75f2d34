"""Hits as one picture: a grid of thumbnails with rank, score, key and labels below each."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from anybit.collection.hits import Hits
from anybit.errors import OptionError, ShapeError

__all__ = ["draw_contact_sheet"]

_GAP_PX, _LINE_PX = 8, 14
_PAPER, _INK, _GREY, _EMPTY = (255, 255, 255), (20, 20, 20), (110, 110, 110), (235, 235, 235)


def draw_contact_sheet(
    hits: Hits,
    thumbnails: Sequence[bytes | None],
    query: Image.Image | None = None,
    n_columns: int = 5,
    tile_px: int = 128,
) -> Image.Image:
    """Draw hits as a grid, best first, line by line.

    Parameters
    ----------
    hits : Hits
    thumbnails : sequence of bytes or None
        One encoded picture a hit; None draws an empty tile.
    query : PIL.Image.Image, optional
        Drawn first, in a line of its own.
    n_columns : int
    tile_px : int
        Width and height of a tile's picture.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    ShapeError
        If there are not as many thumbnails as hits.
    OptionError
        If `n_columns` or `tile_px` is too small.
    """
    if len(thumbnails) != len(hits):
        raise ShapeError(f"there must be {len(hits)} thumbnails, got {len(thumbnails)}.")
    if n_columns < 1 or tile_px < 32:
        raise OptionError(
            f"n_columns must be at least 1 and tile_px 32, got {n_columns} and {tile_px}."
        )
    captions = [
        (
            f"{rank + 1}.  {hits.scores[rank]:.4g}",
            hits.keys[rank] or f"id {hits.ids[rank]}",
            ", ".join(hits.labels[rank]),
        )
        for rank in range(len(hits))
    ]
    tiles = [
        (_picture(one, tile_px), caption) for one, caption in zip(thumbnails, captions, strict=True)
    ]
    n_lines = -(-len(tiles) // n_columns) + (query is not None)
    step_x, step_y = tile_px + _GAP_PX, tile_px + 3 * _LINE_PX + _GAP_PX
    size = (n_columns * step_x + _GAP_PX, max(n_lines, 1) * step_y + _GAP_PX)
    sheet = Image.new("RGB", size, _PAPER)
    first_line = 0
    if query is not None:
        _draw_tile(sheet, (_GAP_PX, _GAP_PX), _fitted(query, tile_px), ("query", "", ""))
        first_line = 1
    for number, (picture, caption) in enumerate(tiles):
        line, column = divmod(number, n_columns)
        corner = (_GAP_PX + column * step_x, _GAP_PX + (line + first_line) * step_y)
        _draw_tile(sheet, corner, picture, caption)
    return sheet


def _draw_tile(
    sheet: Image.Image,
    corner: tuple[int, int],
    picture: Image.Image,
    caption: tuple[str, str, str],
) -> None:
    """Paste a square picture and write three lines below it."""
    sheet.paste(picture, corner)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for line, (text, colour) in enumerate(zip(caption, (_INK, _GREY, _INK), strict=True)):
        position = (corner[0], corner[1] + picture.height + line * _LINE_PX + 2)
        # The end of a path tells more than its beginning.
        draw.text(position, _shortened(text, picture.width, font, is_end=line == 1), colour, font)


def _shortened(text: str, width_px: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
               *, is_end: bool) -> str:  # fmt: skip
    """Return the text cut to a width, with its end or its beginning kept."""
    text = text.encode("ascii", "replace").decode() if not _can_draw_unicode(font) else text
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength("..." + text) > width_px:
        text = text[1:] if is_end else text[:-1]
    return "..." + text if is_end else text + "..."


def _can_draw_unicode(font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> bool:
    return isinstance(font, ImageFont.FreeTypeFont)


def _picture(encoded: bytes | None, tile_px: int) -> Image.Image:
    if encoded is None:
        return Image.new("RGB", (tile_px, tile_px), _EMPTY)
    with Image.open(io.BytesIO(encoded)) as image:
        return _fitted(image.convert("RGB"), tile_px)


def _fitted(image: Image.Image, tile_px: int) -> Image.Image:
    """Return the picture scaled into a square tile; small ones are enlarged without blur."""
    image = image.convert("RGB")
    factor = tile_px / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    how = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.BICUBIC
    tile = Image.new("RGB", (tile_px, tile_px), _EMPTY)
    tile.paste(image.resize(size, how), ((tile_px - size[0]) // 2, (tile_px - size[1]) // 2))
    return tile
