"""A segmentation painted over its image, with a legend."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 8
SWATCH = 14
TEXT_SIZE = 13
# The legend of a video: number of its lines that would fill the shorter side,
# and the smallest text that can be read.
LEGEND_LINES = 28
SMALLEST_TEXT = 9
# Pixels between the pictures of a grid, and above them.
GAP = 8
TITLE = 20


def class_shares(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Return each class's share of the pixels, (num_classes,), 0 to 1.

    Pixels without a class (255) count in the total.
    """
    counts = np.bincount(mask.ravel(), minlength=num_classes)[:num_classes]
    return counts / mask.size


def blend_classes(
    image: np.ndarray,
    mask: np.ndarray,
    colors: Sequence[Sequence[int]],
    opacity: float = 0.55,
) -> np.ndarray:
    """Blend the colours of classes into an image.

    Args:
        image: RGB image, (H, W, 3), uint8.
        mask: Class ids, (H, W); pixels with ids past the colours (255) are
            left unpainted.
        colors: RGB triples (0..255), one for each class.
        opacity: Opacity of the colours, 0 to 1.

    Returns:
        RGB, (H, W, 3), uint8.

    Raises:
        ValueError: Image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(
            f'image and mask must have the same height and width, got '
            f'{image.shape[:2]} and {mask.shape}'
        )
    table = np.asarray(colors, np.float32)
    known = mask < len(colors)
    painted = image.astype(np.float32)
    painted[known] *= 1 - opacity
    painted[known] += opacity * table[mask[known]]
    return painted.round().astype(np.uint8)


def paint_overlay(
    image: np.ndarray,
    mask: np.ndarray,
    names: Sequence[str],
    colors: Sequence[Sequence[int]],
    opacity: float = 0.55,
) -> Image.Image:
    """Blend class colours into an image, and add a legend.

    The legend stands on the right and names the classes that the image has,
    the largest first, with their share of it.

    Args:
        image: RGB image, (H, W, 3), uint8.
        mask: Class ids, (H, W); ids past the names (255) are left unpainted.
        names: Class names, in the order of their ids.
        colors: RGB triples (0..255), one for each class.
        opacity: Opacity of the colours, 0 to 1.

    Raises:
        ValueError: Image and mask differ in size, or there are not as many
            colours as names.
    """
    _check_names(names, colors)
    painted = blend_classes(image, mask, colors, opacity)
    shares = class_shares(mask, len(names))
    present = [i for i in np.argsort(-shares, kind='stable') if shares[i] > 0]
    lines = [f'{names[i]}  {100 * shares[i]:.1f} %' for i in present]
    width = _text_width(lines, TEXT_SIZE)
    step = SWATCH + MARGIN
    height = max(len(image), MARGIN + len(lines) * step)
    canvas = Image.new(
        'RGB',
        (image.shape[1] + 3 * MARGIN + SWATCH + width, height),
        'white',
    )
    canvas.paste(Image.fromarray(painted), (0, 0))
    rows = [(line, tuple(colors[i])) for line, i in zip(lines, present)]
    corner = (image.shape[1] + MARGIN, MARGIN)
    _draw_legend(canvas, corner, rows, SWATCH, MARGIN, TEXT_SIZE)
    return canvas


def paint_frame(
    image: np.ndarray,
    mask: np.ndarray,
    names: Sequence[str],
    colors: Sequence[Sequence[int]],
    opacity: float = 0.55,
) -> np.ndarray:
    """Blend class colours and a legend into a frame, which keeps its size.

    The legend lies in the upper left corner, grows with the image, and names
    the classes that the image has, in the order of their ids so that it
    jumps little from one image to the next. Where the height is too small
    for all, the smallest classes are left out and counted.

    Args:
        image: RGB image, (H, W, 3), uint8.
        mask: Class ids, (H, W); ids past the names (255) are left unpainted.
        names: Class names, in the order of their ids.
        colors: RGB triples (0..255), one for each class.
        opacity: Opacity of the colours, 0 to 1.

    Returns:
        RGB, (H, W, 3), uint8.

    Raises:
        ValueError: Image and mask differ in size, or there are not as many
            colours as names.
    """
    _check_names(names, colors)
    painted = blend_classes(image, mask, colors, opacity)
    text_size = max(SMALLEST_TEXT, min(image.shape[:2]) // LEGEND_LINES)
    swatch, margin = text_size, text_size // 2
    fitting = max(1, (len(image) - margin) // (swatch + margin))
    shares = class_shares(mask, len(names))
    present = [i for i in np.argsort(-shares, kind='stable') if shares[i] > 0]
    shown = present
    if len(present) > fitting:
        shown = present[: fitting - 1]
    rows: list[tuple[str, tuple[int, int, int] | None]] = []
    for i in sorted(shown):
        red, green, blue = colors[i]
        rows.append((names[i], (red, green, blue)))
    if len(shown) < len(present):
        rows.append((f'+ {len(present) - len(shown)}', None))
    if not rows:
        return painted
    width = 3 * margin + swatch
    width += _text_width([text for text, _ in rows], text_size)
    height = margin + len(rows) * (swatch + margin)
    panel = painted[:height, :width].astype(np.float32)
    painted[:height, :width] = (0.25 * panel + 0.75 * 255).astype(np.uint8)
    canvas = Image.fromarray(painted)
    _draw_legend(canvas, (margin, margin), rows, swatch, margin, text_size)
    return np.asarray(canvas)


def _check_names(
    names: Sequence[str], colors: Sequence[Sequence[int]]
) -> None:
    if len(names) != len(colors):
        raise ValueError(
            f'{len(names)} names need as many colors, got {len(colors)}'
        )


def _text_width(lines: Sequence[str], size: int) -> int:
    font = ImageFont.load_default(size)
    return max((int(font.getlength(line)) for line in lines), default=0)


def _draw_legend(
    canvas: Image.Image,
    corner: tuple[int, int],
    rows: Sequence[tuple[str, tuple[int, int, int] | None]],
    swatch: int,
    margin: int,
    text_size: int,
) -> None:
    """Draw texts with their colours, one below the other.

    Args:
        canvas: Image to draw on.
        corner: Left and top of the first row, in pixels.
        rows: Texts and colours; None leaves the place of a colour empty.
        swatch: Side of a colour's square, in pixels.
        margin: Space beside and below a square, in pixels.
        text_size: Height of the text, in pixels.
    """
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(text_size)
    left, top = corner
    for text, color in rows:
        if color is not None:
            draw.rectangle(
                (left, top, left + swatch - 1, top + swatch - 1),
                fill=color,
                outline='black',
            )
        draw.text(
            (left + swatch + margin, top + swatch // 2),
            text,
            fill='black',
            font=font,
            anchor='lm',
        )
        top += swatch + margin


def tile_pictures(
    columns: Mapping[str, Sequence[Image.Image]], side: int = 192
) -> Image.Image:
    """Arrange pictures in columns, each under its title.

    Args:
        columns: Title -> pictures, as many in each; each is enlarged or
            shrunk to a square, pixels kept sharp.
        side: Side of a picture on the canvas, in pixels.

    Raises:
        ValueError: The columns are empty, or differ in length.
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
