"""Two id encodings of COCO's class masks, and how to tell them apart.

Masks of COCO either hold the category ids of its annotations (1..90, ten of
them never used; 'coco91') or the 80 classes counted through (1..80;
'contiguous'). Both are 0 in the background and agree up to id 11, so a mask
read in the wrong one looks almost right.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmseg_weakclip.common.names import (
    BACKGROUND,
    COCO91_NAMES,
    COCO_NAMES,
    NEVER_ANNOTATED,
)

# Class that each mask id stands for, by encoding.
ENCODINGS: dict[str, Mapping[int, str]] = {
    'coco91': dict(enumerate((BACKGROUND, *COCO91_NAMES))),
    'contiguous': dict(enumerate((BACKGROUND, *COCO_NAMES))),
}
# Share of masks that may fit their labels in the other encoding only, by
# mistakes of the masks or the labels, before the set counts as a mixture.
LABEL_NOISE = 0.05


@dataclass(frozen=True)
class MaskIds:
    """Ids in one mask.

    Attributes:
        path: Path of the mask, for messages.
        ids: Ids in the mask without ignored ones.
        names: Names of the classes that the image is labelled with; None if
            its labels are unknown.
    """

    path: str
    ids: frozenset[int]
    names: frozenset[str] | None = None


def encoding_label_map(
    encoding: str, classes: Sequence[str], ignore_index: int = 255
) -> dict[int, int]:
    """Map every id of an encoding to a class id.

    Args:
        encoding: 'coco91' or 'contiguous'.
        classes: Class names in the order of the class ids.
        ignore_index: Id for classes that are not in ``classes``.
    """
    ids = {name: class_id for class_id, name in enumerate(classes)}
    return {
        mask_id: ids.get(name, ignore_index)
        for mask_id, name in ENCODINGS[encoding].items()
    }


def _possible(ids: frozenset[int]) -> set[str]:
    """Return the encodings in which all ids are annotated classes."""
    return {
        encoding
        for encoding, names in ENCODINGS.items()
        if all(i in names and names[i] not in NEVER_ANNOTATED for i in ids)
    }


def _labelled(mask: MaskIds, encodings: Iterable[str]) -> set[str]:
    """Return the encodings in which the mask has labelled classes only."""
    return {
        encoding
        for encoding in encodings
        if {ENCODINGS[encoding][i] for i in mask.ids}
        <= {BACKGROUND, *(mask.names or ())}
    }


def find_coco_encoding(masks: Iterable[MaskIds]) -> str | None:
    """Find the encoding of a set of masks.

    Ids that only one encoding has decide. If no mask has such an id, the
    image labels do: a mask must show no class that its image lacks.

    Args:
        masks: Ids of the masks.

    Returns:
        'coco91', 'contiguous', or None if the masks fit both.

    Raises:
        ValueError: A mask fits neither encoding, or the set is a mixture
            (the message names two files).
    """
    by_ids: dict[str, list[MaskIds]] = {name: [] for name in ENCODINGS}
    by_labels: dict[str, list[MaskIds]] = {name: [] for name in ENCODINGS}
    for mask in masks:
        possible = _possible(mask.ids)
        if not possible:
            raise ValueError(
                f'The mask {mask.path} has ids {sorted(mask.ids)}, which '
                'are COCO classes in neither encoding (coco91, contiguous). '
                'Is it a mask of COCO? If a network made it, set '
                'label_encoding.'
            )
        labelled = _labelled(mask, possible) if mask.names else set()
        if len(possible) == 1:
            by_ids[possible.pop()].append(mask)
        elif len(labelled) == 1:
            by_labels[labelled.pop()].append(mask)
    if all(by_ids.values()):
        raise _mixture(by_ids)
    fitting = {name: by_ids[name] + by_labels[name] for name in ENCODINGS}
    # Labels can be wrong, ids can't.
    decisive = by_ids if any(by_ids.values()) else fitting
    found = max(decisive, key=lambda name: len(decisive[name]))
    if not fitting[found]:
        return None
    total = sum(map(len, fitting.values()))
    if total - len(fitting[found]) > LABEL_NOISE * total:
        raise _mixture(fitting)
    return found


def detect_coco_encoding(masks: Iterable[MaskIds]) -> str:
    """Find the encoding of a set of masks, or raise an error.

    Args:
        masks: Ids of the masks.

    Returns:
        'coco91' or 'contiguous'.

    Raises:
        ValueError: The masks fit both encodings, or see
            :func:`find_coco_encoding`.
    """
    found = find_coco_encoding(masks)
    if found is None:
        raise ValueError(
            'Nothing in these masks tells the 91-id encoding of COCO from '
            "the contiguous one. Set label_encoding='coco91' or "
            "'contiguous'."
        )
    return found


def outside_encoding(masks: Iterable[MaskIds], encoding: str) -> list[MaskIds]:
    """Return the masks with ids that the encoding lacks or never uses."""
    return [mask for mask in masks if encoding not in _possible(mask.ids)]


def _mixture(fitting: Mapping[str, Sequence[MaskIds]]) -> ValueError:
    coco91, contiguous = fitting['coco91'][0], fitting['contiguous'][0]
    return ValueError(
        'These masks mix the two encodings of COCO: '
        f'{coco91.path} (ids {sorted(coco91.ids)}) is in the 91-id one, '
        f'{contiguous.path} (ids {sorted(contiguous.ids)}) in the contiguous '
        'one. Use masks of one origin, or set label_encoding if one of the '
        'two is wrong.'
    )
