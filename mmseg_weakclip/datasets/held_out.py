"""Part of the training images that is held out, to judge a training by labels.

What is chosen by it (lengths, thresholds) has seen image labels, and no mask.
"""

import hashlib
from collections.abc import Sequence

PARTS = ('fit', 'held_out')
# Share of the images that is held out, where a config does not say.
HELD_OUT_SHARE = 0.1


def held_out_ids(ids: Sequence[str], share: float) -> set[str]:
    """Return the ids of the images that are held out.

    The ids are put in the order of their SHA-256, and the first of them are
    taken, at least one. So the choice does not depend on the order of the
    list, a seed or a split of the work, and changes little if images are
    added. Image labels have no say in it: a rare class may have no image in
    it.

    Args:
        ids: Ids of the images, all different.
        share: Share of the images, in (0, 1).

    Raises:
        ValueError: The share is not in (0, 1), or would leave no image in one
            of the parts.
    """
    if not 0 < share < 1:
        raise ValueError(f'held_out_share={share} must lie in (0, 1)')
    number = max(1, round(share * len(ids)))
    if number >= len(ids):
        raise ValueError(
            f'{len(ids)} images cannot be parted with held_out_share={share}: '
            'label more images, or use all by part=None'
        )
    order = sorted(
        ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest()
    )
    return set(order[:number])
