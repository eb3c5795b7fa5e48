"""A segmentation painted over its image, with a legend."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 8
SWATCH = 14
TEXT_SIZE = 13


def class_shares(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of the pixels that each class has, (num_classes,), 0 to 1.

    Pixels of no class (255) count among all.
    """
    counts = np.bincount(mask.ravel(), minlength=num_classes)[:num_classes]
    return counts / mask.size


def paint_overlay(
    image: np.ndarray,
    mask: np.ndarray,
    names: Sequence[str],
    colors: Sequence[Sequence[int]],
    opacity: float = 0.55,
) -> Image.Image:
    """Blend class colours into an image and say what they mean.

    The legend stands on the right and names the classes that the image has,
    the largest first, with their share of it.

    Args:
        image: RGB, (H, W, 3), uint8.
        mask: Class ids, (H, W); ids past the names (255) are left unpainted.
        names: One for each class.
        colors: RGB triples (0..255), one for each class.
        opacity: Of the colours, 0 to 1.

    Raises:
        ValueError: Image and mask differ in size, or there are not as many
            colours as names.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(
            f'an image of {image.shape[:2]} pixels (height x width) with a '
            f'mask of {mask.shape}'
        )
    if len(names) != len(colors):
        raise ValueError(f'{len(names)} names with {len(colors)} colors')
    table = np.asarray(colors, np.float32)
    known = mask < len(names)
    painted = image.astype(np.float32)
    painted[known] *= 1 - opacity
    painted[known] += opacity * table[mask[known]]
    painted = painted.round().astype(np.uint8)

    shares = class_shares(mask, len(names))
    present = [i for i in np.argsort(-shares, kind='stable') if shares[i] > 0]
    lines = [f'{names[i]}  {100 * shares[i]:.1f} %' for i in present]
    font = ImageFont.load_default(TEXT_SIZE)
    width = max((int(font.getlength(line)) for line in lines), default=0)
    step = SWATCH + MARGIN
    height = max(len(image), MARGIN + len(lines) * step)
    canvas = Image.new(
        'RGB',
        (image.shape[1] + 3 * MARGIN + SWATCH + width, height),
        'white',
    )
    canvas.paste(Image.fromarray(painted), (0, 0))
    draw = ImageDraw.Draw(canvas)
    left = image.shape[1] + MARGIN
    for row, (index, line) in enumerate(zip(present, lines)):
        top = MARGIN + row * step
        draw.rectangle(
            (left, top, left + SWATCH - 1, top + SWATCH - 1),
            fill=tuple(colors[index]),
            outline='black',
        )
        draw.text(
            (left + SWATCH + MARGIN, top + SWATCH // 2),
            line,
            fill='black',
            font=font,
            anchor='lm',
        )
    return canvas
