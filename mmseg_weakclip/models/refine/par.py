"""Pixel-adaptive refinement (PAR): average scores over similar pixels.

An iteration is a weighted sum over T neighbours of each pixel. There are
three forms of it, with one result up to rounding:

``'shifts'``
    Adds up T shifted maps. The fastest on a CPU, image by image, whose maps
    its caches hold; on a GPU, each of the T additions is a launch.
``'rows'``
    Takes pixels as rows of a table and sums T of them in one
    ``embedding_bag``, which is one launch.
``'compiled'``
    ``'shifts'`` through ``torch.compile``, which makes one kernel of all
    shifts. For GPUs, and images of one size: each other size is compiled
    again. On a CPU it is slower than both.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.transfer import device_constant

DILATIONS = (1, 2, 4, 8, 12, 24)
# Against a division by zero where all neighbours have one colour.
EPS = 1e-8
FORMS = ('auto', 'shifts', 'rows', 'compiled')
# Most numbers of neighbours in a table of rows, 1 GiB of int32.
MAX_NEIGHBOURS = 2**28
# Pixels whose weights are computed at a time in rows: 38 MB of colours.
CHUNK = 2**16
# Arguments of pixel-adaptive mask refinement, PAMR (Araslanov and Roth,
# "Single-Stage Semantic Segmentation from Image Labels", CVPR 2020), with the
# constants that NACLIP has.
PAMR_OPTIONS: Mapping[str, Any] = dict(
    iterations=10,
    dilations=(8, 16),
    width=0.1,
    position_weight=0.0,
    power=1,
    own_colors=True,
)
PAR_PRESETS: Mapping[str, Mapping[str, Any]] = {
    'par': {},
    'pamr': PAMR_OPTIONS,
}


class Similarity(NamedTuple):
    """How alike two colours are.

    Attributes:
        width: Width, in standard deviations.
        power: Power of the differences, 1 or 2.
        own_colors: Whether the pixel's own colour counts in the standard
            deviation, once for each dilation.
    """

    width: float
    power: int
    own_colors: bool


def refine_by_pixels(
    images: Tensor,
    scores: Tensor,
    iterations: int = 20,
    dilations: Sequence[int] = DILATIONS,
    width: float = 0.3,
    position_weight: float = 0.01,
    power: int = 2,
    *,
    own_colors: bool = False,
    form: str = 'auto',
) -> Tensor:
    """Average scores over neighbours, weighted by similarity of colour.

    PAR of AFA (Ru et al., CVPR 2022), and PAMR with ``PAMR_OPTIONS``::

        color_n = softmax_n(mean over RGB of -(|I - I_n| / (s_I width))^power)
        place_n = softmax_n(-(r_n / (s_r width))^2)
        scores <- sum_n (color_n + position_weight * place_n) * scores_n
                  / (1 + position_weight)

    The taps n are the eight neighbours at each dilation, r_n their distance
    in pixels, and s the standard deviation over all taps (s_I for each pixel
    and channel). The borders of image and scores are repeated outwards.
    The division is ours: without it all scores grow by 1 % in each iteration,
    with it probabilities stay probabilities. The result does not change with
    an affine change of an image's channel.

    Args:
        images: Colours on any scale, (B, 3, H, W).
        scores: Class scores, (B, K, h, w), resized to the images first.
        iterations: Number of iterations; 20 in AFA, WeCLIP and ExCEL.
        dilations: Distances of the neighbours in pixels.
        width: Width of the Gaussians, in standard deviations.
        position_weight: Weight of the position term beside colour.
        power: Power of the differences of colours, 1 or 2.
        own_colors: Whether s_I is that of the 3 x 3 windows, in which the
            pixel itself is once for each dilation, and not of the taps alone.
        form: ``'shifts'``, ``'rows'`` or ``'compiled'``; see above.
            ``'auto'`` takes rows on a GPU, and shifts on a CPU and for
            images whose table would take more than 1 GiB.

    Returns:
        float32, (B, K, H, W), without a graph.

    Raises:
        ValueError: The batch sizes differ, or a value is not allowed.
    """
    if len(images) != len(scores) or images.shape[1] != 3:
        raise ValueError(
            f'scores {tuple(scores.shape)} need as many images (B, 3, H, W), '
            f'got {tuple(images.shape)}'
        )
    if iterations < 0 or not dilations or min(dilations) < 1 or width <= 0:
        raise ValueError(
            f'iterations={iterations} must not be negative, dilations='
            f'{tuple(dilations)} must be 1 or more, width={width} above 0'
        )
    if power not in (1, 2):
        raise ValueError(f'power={power} must be 1 or 2')
    if form not in FORMS:
        raise ValueError(f'form={form!r} must be one of {FORMS}')
    if form == 'auto':
        form = _fastest_form(images, len(dilations))
    dilations = tuple(dilations)
    similarity = Similarity(width, power, own_colors)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        images, scores = images.float(), scores.float()
        size = images.shape[-2:]
        if scores.shape[-2:] != size:
            scores = F.interpolate(scores, size, mode='bilinear')
        place = device_constant(
            _place_weights(dilations, width, position_weight), images.device
        )
        if form == 'rows':
            index = _row_neighbours(images, dilations)
            weights = _weigh_rows(images, index, similarity)
            weights.add_(place).div_(1 + position_weight)
            return _average_rows(scores, weights, index, iterations)
        weigh, average = _weigh_shifts, _average_shifts
        if form == 'compiled':
            weigh, average = _compiled()
        at_once = 1 if images.device.type == 'cpu' else len(images)
        refined = []
        for some, maps in zip(images.split(at_once), scores.split(at_once)):
            weights = weigh(some, dilations, similarity)
            weights.add_(place[:, None, None]).div_(1 + position_weight)
            live = slice(None)
            if at_once < len(images):
                # Maps of classes that only other images have stay zero.
                live = maps.flatten(2).any(2)[0]
            mixed = maps[:, live]
            for _ in range(iterations):
                mixed = average(mixed, weights, dilations)
            refined.append(torch.zeros_like(maps))
            refined[-1][:, live] = mixed
        return torch.cat(refined)


def resolve_par(options: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of :func:`refine_by_pixels`.

    Args:
        options: Arguments, or a name in ``PAR_PRESETS``.

    Raises:
        ValueError: No preset has this name, there is no such argument, or
            one has a wrong value.
    """
    if isinstance(options, str):
        if options not in PAR_PRESETS:
            raise ValueError(
                f'there is no PAR {options!r}; choose one of '
                f'{tuple(PAR_PRESETS)}, or give its arguments'
            )
        options = PAR_PRESETS[options]
    # Nothing is compiled for one pixel.
    compiled = options.get('form') == 'compiled'
    one = torch.zeros(1, 3, 1, 1)
    check_options(
        'par',
        {**options, 'form': 'auto'} if compiled else options,
        partial(refine_by_pixels, one, one[:, :1]),
    )
    return dict(options)


def par_bytes(
    num_points: int, num_classes: int, dilations: Sequence[int] = DILATIONS
) -> int:
    """Return the most memory of PAR for one image, in bytes.

    Shifts hold three tables of a weight for each tap while they are
    normalised, then one and four maps of scores; rows hold a table of
    neighbours besides, and the weights in two orders.

    Args:
        num_points: Number of pixels.
        num_classes: Number of classes K.
        dilations: Distances of the neighbours in pixels.
    """
    taps = 8 * len(dilations) * num_points
    each = 24 if taps <= MAX_NEIGHBOURS else 14
    return each * taps + 18 * num_points * num_classes


def _fastest_form(images: Tensor, num_dilations: int) -> str:
    batch, _, height, width = images.shape
    if images.device.type == 'cpu':
        return 'shifts'
    neighbours = 8 * num_dilations * batch * height * width
    return 'shifts' if neighbours > MAX_NEIGHBOURS else 'rows'


def _offsets(dilations: Sequence[int]) -> list[tuple[int, int]]:
    """Return rows and columns from a pixel to each of its T taps."""
    return [
        (dy * dilation, dx * dilation)
        for dilation in dilations
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if dy or dx
    ]


def _place_weights(
    dilations: Sequence[int], width: float, position_weight: float
) -> list[float]:
    """Return ``position_weight * place_n`` of the T taps."""
    distances = [math.hypot(*offset) for offset in _offsets(dilations)]
    radius = torch.tensor(distances)
    place = -((radius / ((radius.std() + EPS) * width)) ** 2)
    return (position_weight * place.softmax(0)).tolist()


def _neighbours(x: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """Yield views of (B, C, H, W) shifted to each tap."""
    height, width = x.shape[-2:]
    reach = max(dilations)
    padded = F.pad(x, (reach,) * 4, mode='replicate')
    for dy, dx in _offsets(dilations):
        top, left = reach + dy, reach + dx
        yield padded[..., top : top + height, left : left + width]


def _weigh_shifts(
    images: Tensor, dilations: Sequence[int], similarity: Similarity
) -> Tensor:
    """Return the colour weights of each pixel's T taps, (B, T, H, W)."""
    count = 8 * len(dilations)
    # Of differences, not of colours: sums of small numbers lose nothing.
    total, squares = torch.zeros_like(images), torch.zeros_like(images)
    difference = torch.empty_like(images)
    for neighbour in _neighbours(images, dilations):
        torch.sub(neighbour, images, out=difference)
        total += difference
        squares.addcmul_(difference, difference)
    # The pixel's own differences are 0.
    colors = count + len(dilations) * similarity.own_colors
    variance = (squares - total.square() / colors) / (colors - 1)
    deviation = (variance.clamp(min=0).sqrt() + EPS) * similarity.width
    # The mean over channels becomes a sum.
    scale = 1 / (deviation * images.shape[1] ** (1 / similarity.power))
    weights = images.new_zeros(len(images), count, *images.shape[-2:])
    for tap, neighbour in enumerate(_neighbours(images, dilations)):
        torch.sub(neighbour, images, out=difference).mul_(scale)
        for channel in difference.unbind(1):
            if similarity.power == 1:
                weights[:, tap].sub_(channel.abs())
            else:
                weights[:, tap].addcmul_(channel, channel, value=-1)
    return weights.softmax(1)


def _average_shifts(
    scores: Tensor, weights: Tensor, dilations: Sequence[int]
) -> Tensor:
    """Run one iteration; scores (B, K, H, W), weights (B, T, H, W)."""
    mixed = torch.zeros_like(scores)
    for tap, neighbour in enumerate(_neighbours(scores, dilations)):
        mixed.addcmul_(neighbour, weights[:, tap, None])
    return mixed


@cache
def _compiled() -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Return the functions of shifts, to be compiled when they are called."""
    return torch.compile(_weigh_shifts), torch.compile(_average_shifts)


def _to_rows(maps: Tensor) -> Tensor:
    """Turn maps (B, C, H, W) into one row for each pixel, (B * H * W, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _row_neighbours(images: Tensor, dilations: Sequence[int]) -> Tensor:
    """Return the rows of each pixel's T taps, int32, (B * H * W, T)."""
    batch, _, height, width = images.shape
    device = images.device
    offsets = [float(x) for offset in _offsets(dilations) for x in offset]
    dy, dx = device_constant(offsets, device).int().view(-1, 2).unbind(1)
    image, y, x = (
        torch.arange(size, device=device, dtype=torch.int32)[:, None]
        for size in (batch, height, width)
    )
    rows = (y + dy).clamp(0, height - 1) * width
    columns = (x + dx).clamp(0, width - 1)
    first = height * width * image[:, None, None]
    return (first + rows[:, None] + columns).flatten(0, 2)


def _weigh_rows(
    images: Tensor, index: Tensor, similarity: Similarity
) -> Tensor:
    """Return the colour weights of each pixel's taps, (B * H * W, T)."""
    colours = _to_rows(images)
    weights = []
    # Eight taps and the pixel itself in each window.
    own_colors = index.shape[1] // 8 * similarity.own_colors
    for rows, own in zip(index.split(CHUNK), colours.split(CHUNK)):
        near = F.embedding(rows, colours) - own[:, None]
        window = F.pad(near, (0, 0, 0, own_colors))
        deviation = window.std(1, keepdim=True) + EPS
        away = near.mul_(1 / (deviation * similarity.width)).abs_()
        away = away.pow_(similarity.power).mean(2)
        weights.append((-away).softmax(1))
    return torch.cat(weights)


def _average_rows(
    scores: Tensor, weights: Tensor, index: Tensor, iterations: int
) -> Tensor:
    """Run all iterations; scores (B, K, H, W), the others (B * H * W, T)."""
    table = _to_rows(scores)
    for _ in range(iterations):
        table = F.embedding_bag(
            index, table, mode='sum', per_sample_weights=weights
        )
    batch, _, height, width = scores.shape
    maps = table.view(batch, height, width, -1).permute(0, 3, 1, 2)
    return maps.contiguous()
