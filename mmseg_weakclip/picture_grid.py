"""Pictures side by side."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

GAP = 8
TITLE = 20


def tile_pictures(
    columns: Mapping[str, Sequence[Image.Image]], side: int = 192
) -> Image.Image:
    """A column of pictures under each title.

    Args:
        columns: Title -> pictures, as many in each; each is enlarged or
            shrunk to a square, pixels kept sharp.
        side: Of a picture on the canvas, in pixels.

    Raises:
        ValueError: There is nothing to show, or one column is longer than
            another.
    """
    lengths = {len(pictures) for pictures in columns.values()}
    if len(lengths) != 1:
        raise ValueError(
            'columns must have the same number of pictures, got '
            f'{ {name: len(column) for name, column in columns.items()} }'
        )
    step = side + GAP
    canvas = Image.new(
        'RGB',
        (len(columns) * step + GAP, lengths.pop() * step + TITLE),
        'white',
    )
    draw = ImageDraw.Draw(canvas)
    for column, (title, pictures) in enumerate(columns.items()):
        left = GAP + column * step
        draw.text((left, 4), title, fill='black')
        for row, picture in enumerate(pictures):
            cell = picture.convert('RGB').resize(
                (side, side), Image.Resampling.NEAREST
            )
            canvas.paste(cell, (left, TITLE + row * step))
    return canvas
