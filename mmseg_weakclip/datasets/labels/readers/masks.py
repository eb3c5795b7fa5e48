"""A folder of index masks, of which only the classes that occur are taken."""

from pathlib import Path

import numpy as np

from mmseg_weakclip.common.masks import read_mask
from mmseg_weakclip.common.names import (
    BACKGROUND,
    COCO_NAMES,
    split_background,
)
from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    listed_files,
    require_classes,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow
from mmseg_weakclip.datasets.masks.coco_encoding import (
    ENCODINGS,
    MaskIds,
    detect_coco_encoding,
)


def _matches(content: Content) -> bool:
    """Return whether a folder holds PNGs and no other files of labels."""
    return set(content.suffixes) == {'.png'}


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read labels from masks, ``<id>.png``.

    Id 0 is the background, 1 the first class. COCO masks are read in either
    encoding, see :mod:`coco_encoding`.

    Raises:
        ValueError: A mask is damaged, has an id of no class, or there is no
            class list.
        FileNotFoundError: Files are missing.
    """
    folder = content.path
    ignored = options.ignore_index
    foreground, _ = split_background(require_classes(folder, options.classes))
    shown: dict[Path, list[int]] = {}
    found: list[MaskIds] = []
    for file in options.track(listed_files(folder, '.png', options.ids)):
        values, areas = np.unique(read_mask(str(file)), return_counts=True)
        valid = values != ignored
        found.append(MaskIds(str(file), frozenset(values[valid].tolist())))
        shown[file] = values[valid & (areas >= options.min_pixels)].tolist()
    names = dict(enumerate((BACKGROUND, *foreground)))
    if foreground == COCO_NAMES:
        names = dict(ENCODINGS[detect_coco_encoding(found)])
    rows = []
    for file, mask_ids in shown.items():
        unknown = [i for i in mask_ids if i not in names]
        if unknown:
            raise ValueError(
                f'The mask {file} has ids {unknown}; the {len(foreground)} '
                f'classes have 1 to {len(foreground)}, ignored pixels '
                f'{ignored}.'
            )
        present = [names[i] for i in mask_ids if names[i] != BACKGROUND]
        rows.append(LabelRow('', file.stem, tuple(present)))
    return LabelFile(str(folder), FORMAT.title, tuple(rows), foreground)


FORMAT = LabelFormat('masks', 'index masks', _matches, _read)
