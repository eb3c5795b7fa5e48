"""Disagreement between the masks of an image, and images to show."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest

import numpy as np

from mmseg_weakclip.apps.run_folder.schema import (
    ROLES,
    SPLITS,
    RunError,
    RunImage,
)
from mmseg_weakclip.apps.run_folder.store import RunFolder
from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    read_mask,
)
from mmseg_weakclip.common.overlay import class_shares

IGNORED = 255
TRUTH = 'truth'
# Folders of masks, and the user's own masks -> how the page calls them.
TITLES = {**ROLES, TRUTH: 'ground truth'}
# Pairs of roles to compare; the first that a run has sorts its gallery. None
# of the weak ones needs a true mask.
WEAK_PAIRS = (
    ('masks_2', 'predictions'),
    ('masks', 'masks_2'),
    ('masks', 'predictions'),
    ('seeds', 'masks'),
    ('seeds', 'predictions'),
)
PAIRS = (
    *WEAK_PAIRS,
    ('predictions', TRUTH),
    ('masks_2', TRUTH),
    ('masks', TRUTH),
    ('seeds', TRUTH),
)
# Share of a mask from which on the filter counts an image to a class.
LEAST_SHARE = 0.01
# Share of the images shown that are chosen for their disagreement.
WORST_SHARE = 2 / 3


@dataclass(frozen=True)
class Comparison:
    """Disagreement between the masks of an image, and its classes.

    Attributes:
        image: Image that the masks belong to.
        shares: Pair of :data:`PAIRS` -> share of pixels with two different
            classes among those with a class in both masks, 0 to 1. Pairs
            without such pixels are left out.
        classes: Ids of the image's labels, and of classes that cover at
            least :data:`LEAST_SHARE` of one of its masks.
        cover: Role of each mask -> share of each of the K classes among all
            pixels, (K,), 0 to 1.
    """

    image: RunImage
    shares: dict[tuple[str, str], float]
    classes: frozenset[int]
    cover: dict[str, np.ndarray] = field(default_factory=dict)


def class_titles(run: RunFolder) -> list[str]:
    """Return the names of the classes as reports show them."""
    return [info.display or info.name for info in run.classes]


def disagreement(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return the share of pixels on which two masks disagree.

    Args:
        first: Class ids, (H, W); 255 marks pixels without a class.
        second: Class ids of the other mask, (H, W).

    Returns:
        Share of pixels with different classes among those with a class in
        both masks, 0 to 1; None without such pixels.
    """
    counted = (first != IGNORED) & (second != IGNORED)
    total = int(counted.sum())
    if not total:
        return None
    return int((counted & (first != second)).sum()) / total


def read_masks(run: RunFolder, image: RunImage) -> dict[str, np.ndarray]:
    """Return the masks of an image that exist, by role, truth last.

    Returns:
        Class ids, uint8, (H, W) each.

    Raises:
        RunError: A mask is damaged, of another size, or has unknown ids.
    """
    paths = {role: run.mask_path(role, image.id) for role in run.roles}
    paths = {role: path for role, path in paths.items() if path.is_file()}
    truth = run.truth_path(image)
    if truth is not None:
        paths[TRUTH] = truth
    masks = {}
    for role, path in paths.items():
        try:
            mask = read_mask(str(path))
            check_mask_size(
                mask, str(path), image.size, str(run.image_path(image))
            )
            check_mask_ids(mask, str(path), range(len(run.classes)))
        except (OSError, ValueError) as error:
            raise RunError(str(error)) from error
        masks[role] = mask.astype(np.uint8)
    return masks


def compare_image(run: RunFolder, image: RunImage) -> Comparison:
    """Compare the masks of one image."""
    masks = read_masks(run, image)
    shares = {}
    for first, second in PAIRS:
        if first in masks and second in masks:
            share = disagreement(masks[first], masks[second])
            if share is not None:
                shares[first, second] = share
    classes = {run.names.index(label) for label in image.labels}
    cover = {
        role: class_shares(mask, len(run.classes))
        for role, mask in masks.items()
    }
    for covered in cover.values():
        classes.update(np.flatnonzero(covered >= LEAST_SHARE).tolist())
    return Comparison(image, shares, frozenset(classes), cover)


def compare_images(run: RunFolder) -> list[Comparison]:
    """Compare the masks of every image, in the order of the index."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(partial(compare_image, run), run.images))


def pairs_of(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return the pairs of roles that at least one image has."""
    return [
        pair
        for pair in PAIRS
        if any(pair in comparison.shares for comparison in comparisons)
    ]


def rank(
    comparisons: Sequence[Comparison], pair: tuple[str, str]
) -> list[Comparison]:
    """Sort images by disagreement, largest first; drop those without one."""
    return sorted(
        (c for c in comparisons if pair in c.shares),
        key=lambda c: (-c.shares[pair], c.image.id),
    )


def choose(
    comparisons: Sequence[Comparison],
    count: int,
    wanted: Collection[str] = (),
) -> tuple[list[Comparison], int]:
    """Choose images to show: those wanted, the worst, and ordinary ones.

    Two thirds are those wanted, and then those with the most disagreement,
    by each pair within each split in turn; there are more if more are wanted.
    The others lie evenly over the rest of the index, so that a reader does
    not see failures alone.

    Args:
        comparisons: Comparisons of all images.
        count: Number of images to show at most.
        wanted: Ids of images to show first.

    Returns:
        The images, the most important first; how many of them were wanted or
        chosen for their disagreement.
    """
    if count >= len(comparisons):
        # All, unless the page gets too large: the wanted ones first.
        turns = {image_id: turn for turn, image_id in enumerate(wanted)}
        last = len(turns)
        ordered = sorted(
            comparisons, key=lambda c: turns.get(c.image.id, last)
        )
        return ordered, len(comparisons)
    queues = [
        rank([c for c in comparisons if c.image.split == split], pair)
        for pair in PAIRS
        for split in SPLITS
    ]
    in_turn = (c for turn in zip_longest(*queues) for c in turn if c)
    known = {c.image.id: c for c in comparisons}
    by_id = {image_id: known[image_id] for image_id in wanted}
    by_id.update({c.image.id: c for c in in_turn})
    most = max(round(count * WORST_SHARE), min(count, len(set(wanted))))
    worst = list(by_id.values())[:most]
    taken = {c.image.id for c in worst}
    rest = [c for c in comparisons if c.image.id not in taken]
    places = np.linspace(0, len(rest) - 1, count - len(worst)).round()
    ordinary = [rest[int(place)] for place in places]
    return worst + ordinary, len(worst)
