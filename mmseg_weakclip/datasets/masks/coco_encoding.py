"""The two id encodings of COCO's class masks, and how to tell them apart.

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

# Per encoding, the class that each mask id stands for.
ENCODINGS: dict[str, Mapping[int, str]] = {
    'coco91': dict(enumerate((BACKGROUND, *COCO91_NAMES))),
    'contiguous': dict(enumerate((BACKGROUND, *COCO_NAMES))),
}
# Share of masks that may fit their labels in the other encoding only, by
# mistakes of the masks or the labels, before the set counts as a mixture.
LABEL_NOISE = 0.05


@dataclass(frozen=True)
class MaskIds:
    """The ids in one mask.

    Attributes:
        path: The file, for messages.
        ids: The ids, ignored ones left out.
        names: Names of the classes that the image is labelled with. None:
            its labels are unknown.
    """

    path: str
    ids: frozenset[int]
    names: frozenset[str] | None = None


def encoding_label_map(
    encoding: str, classes: Sequence[str], ignore_index: int = 255
) -> dict[int, int]:
    """Class id of every id that a mask in this encoding may hold.

    Args:
        encoding: 'coco91' or 'contiguous'.
        classes: Names of the classes wanted; position is the id.
        ignore_index: What a class becomes that is not wanted.
    """
    ids = {name: class_id for class_id, name in enumerate(classes)}
    return {
        mask_id: ids.get(name, ignore_index)
        for mask_id, name in ENCODINGS[encoding].items()
    }


def _possible(ids: frozenset[int]) -> set[str]:
    """Encodings that have all these ids, never annotated ones left out."""
    return {
        encoding
        for encoding, names in ENCODINGS.items()
        if all(i in names and names[i] not in NEVER_ANNOTATED for i in ids)
    }


def _labelled(mask: MaskIds, encodings: Iterable[str]) -> set[str]:
    """Those encodings that find only classes the image is labelled with."""
    return {
        encoding
        for encoding in encodings
        if {ENCODINGS[encoding][i] for i in mask.ids}
        <= {BACKGROUND, *(mask.names or ())}
    }


def find_coco_encoding(masks: Iterable[MaskIds]) -> str | None:
    """The encoding of a set of masks, if anything tells.

    Ids that only one encoding has decide. Where no mask has one, the image
    labels do: a mask must show no class that its image lacks.

    Args:
        masks: Ids of the masks.

    Returns:
        'coco91', 'contiguous', or None if nothing tells the two apart.

    Raises:
        ValueError: A mask fits neither encoding, or the set is a mixture
            (two files are named).
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
    """As :func:`find_coco_encoding`; not to know is an error too.

    Raises:
        ValueError: Also if nothing tells the two apart.
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
    """The masks that have ids the encoding lacks or never uses."""
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
