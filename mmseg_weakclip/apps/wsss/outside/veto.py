"""The veto of image labels: an image shows no class that it does not have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_weakclip.common.names import NameIndex

from .source import OPEN, REST, OutsideMasks

IGNORED = 255
# Values of --seed-rest: what pixels of no class are.
BACKGROUND_REST, OPEN_REST, COMPLETE_REST = 'background', 'unsure', 'complete'
RESTS = {
    BACKGROUND_REST: 'background',
    OPEN_REST: 'unsure',
    COMPLETE_REST: 'background where each label of the image has a pixel, '
    'else unsure',
}


@dataclass(frozen=True)
class Vetoed:
    """A mask after the veto, and what it took away.

    Attributes:
        mask: Class ids, IGNORED where the pixel is open, uint8, (H, W).
        removed: Pixels by name of a class that the image does not have.
        found: Pixels by id of each class of the image, before its open rest.
    """

    mask: np.ndarray
    removed: dict[str, int]
    found: dict[int, int]

    @property
    def absent(self) -> list[int]:
        """Ids of the classes of the image that have no pixel."""
        return [i for i, pixels in self.found.items() if not pixels]


def own_ids(names: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """Return the id of each of their classes among ours; None if unknown.

    Args:
        names: Names of their classes.
        classes: Names of our classes, without the background.
    """
    index = NameIndex(classes)
    found = (index.find(name) for name in names)
    return [None if place is None else place + 1 for place in found]


def own_values(
    ids: Sequence[int | None], labels: Collection[int]
) -> list[int]:
    """Return the values of a mask that an image may show.

    Args:
        ids: Our id of each of their classes, see :func:`own_ids`.
        labels: Our ids of the classes that the image has.
    """
    return [place for place, own in enumerate(ids, 1) if own in labels]


def choose_rest(masks: OutsideMasks, asked: str | None) -> str:
    """Return what pixels of no class are, as ``--seed-rest`` has it.

    Where nobody drew a background, pixels of no mask are background in images
    whose labels all have a mask. In others they may be the missing object.

    Args:
        masks: Masks of the other tool.
        asked: Choice of the user, or None.
    """
    if asked is not None:
        return asked
    return BACKGROUND_REST if masks.draws_background else COMPLETE_REST


def veto(
    values: np.ndarray,
    names: Sequence[str],
    ids: Sequence[int | None],
    labels: Collection[int],
    rest: str,
) -> Vetoed:
    """Remove the classes that an image does not have from its mask.

    Args:
        values: OPEN, REST or k of ``names[k - 1]``, (H, W).
        names: Names of their classes.
        ids: Our id of each, see :func:`own_ids`.
        labels: Our ids of the classes that the image has.
        rest: What REST is: ``'background'``; ``'unsure'``, open; or
            ``'complete'``, background where every class of the image has a
            pixel, and open elsewhere: the class without one may be there.
    """
    table = np.full(len(names) + 2, IGNORED, np.int64)
    table[REST] = 0
    for place, own in enumerate(ids, 1):
        if own is not None and own in labels:
            table[place] = own
    table[OPEN] = IGNORED  # the last entry
    mask = table[values].astype(np.uint8)
    counts = np.bincount(values[values > REST], minlength=len(names) + 1)
    removed: dict[str, int] = {}
    for place in np.flatnonzero(counts).tolist():
        if table[place] == IGNORED:
            name = names[place - 1]
            removed[name] = removed.get(name, 0) + int(counts[place])
    found = {i: int((mask == i).sum()) for i in sorted(labels)}
    is_complete = all(found.values())
    if rest == OPEN_REST or rest == COMPLETE_REST and not is_complete:
        mask[values == REST] = IGNORED
    return Vetoed(mask, removed, found)
