"""Stage that turns another tool's masks into seeds of a run."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.apps.run_folder.schema import OUTSIDE, RunImage
from mmseg_weakclip.apps.run_folder.store import write_json
from mmseg_weakclip.apps.wsss.method_configs import TRAIN_LIST
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.pseudo_masks.store import MaskStore

from .png_masks import IndexMasks
from .source import OutsideMasks, Size
from .tally import summarize_import
from .veto import (
    IGNORED,
    Vetoed,
    choose_rest,
    own_ids,
    own_values,
    veto,
)


def resize_values(values: np.ndarray, size: Size) -> np.ndarray:
    """Resize values of a mask, from -1 on, to the nearest.

    Args:
        values: Integers from -1 to 65534, (H, W).
        size: Height and width of the result.
    """
    if values.shape == tuple(size):
        return values
    shifted = (values + 1).astype(np.uint16)
    resized = cv2.resize(
        shifted, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
    )
    return resized.astype(np.int32) - 1


@dataclass(frozen=True)
class Importer:
    """Import of the mask of one image.

    Attributes:
        masks: Masks of the other tool.
        names: Names of our classes, background first.
        ids: Our id of each of their classes, see :func:`own_ids`.
        rest: What pixels of no class are.
        palette: Colours of our classes.
        store: Folder of the seeds.
    """

    masks: OutsideMasks
    names: Sequence[str]
    ids: Sequence[int | None]
    rest: str
    palette: list[list[int]]
    store: MaskStore

    def __call__(self, image: RunImage) -> dict[str, Any]:
        """Read, veto and write the mask of an image.

        Returns:
            Record: ``id``; ``classes``, the ids that the image may show;
            ``pixels`` of each of its classes by name; ``removed`` pixels by
            name of another class; ``labelled``, the share of pixels with a
            label; ``missing``, whether there is no mask; or ``error``, why
            the mask cannot be used.
        """
        labels = [self.names.index(name) for name in image.labels]
        missing = image.source not in self.masks.images
        if missing:
            blank = np.full(image.size, IGNORED, np.uint8)
            done = Vetoed(blank, {}, dict.fromkeys(labels, 0))
        else:
            sizes = (image.original_size, image.size)
            try:
                values = self.masks.read(
                    image.source, sizes, own_values(self.ids, labels)
                )
            except (OSError, ValueError) as error:
                return dict(id=image.id, error=' '.join(str(error).split()))
            done = veto(
                resize_values(values, image.size),
                self.masks.names,
                self.ids,
                labels,
                self.rest,
            )
        self.store.write_mask(image.id, done.mask, self.palette)
        return dict(
            id=image.id,
            classes=[0, *sorted(labels)],
            pixels={self.names[i]: n for i, n in done.found.items()},
            removed=done.removed,
            labelled=float((done.mask != IGNORED).mean()),
            missing=missing,
        )


def import_masks(
    run: Run, masks: OutsideMasks, folder: Path, inputs: dict[str, str]
) -> dict[str, Any]:
    """Read the masks of all labelled images, and apply the veto.

    Images without a mask get one of open pixels, and are not trained on.

    Args:
        run: Run with its images.
        masks: Masks of the other tool.
        folder: Folder of the seeds, which is made anew.
        inputs: Digests of all that the seeds depend on.

    Returns:
        Summary; see :func:`summarize_import`.

    Raises:
        UserError: Masks cannot be used, or no pixel of an image to train on
            has a label.
    """
    shutil.rmtree(folder, ignore_errors=True)
    store = MaskStore(folder)
    store.open(dict(outside=inputs))
    images = [image for image in run.images if image.labels]
    rest = choose_rest(masks, run.options.seed_rest)
    names = run.classes.names
    ids = own_ids(masks.names, names[1:])
    importer = Importer(masks, names, ids, rest, run.classes.palette, store)
    with ThreadPoolExecutor(max(1, run.workers)) as pool:
        records = list(
            progress_bar(
                'read the masks', len(images), pool.map(importer, images)
            )
        )
    errors = [record['error'] for record in records if 'error' in record]
    if errors:
        raise UserError(
            f'{count(len(errors), "mask")} of --seeds cannot be used, the '
            f'first: {errors[0]}'
        )
    _check_any_class(masks, records)
    for record in records:
        store.finish(record)
    trained = {r['id'] for r in records if r['labelled']}
    write_train_list(folder, images, trained, '--seeds')
    summary = summarize_import(masks, records, images, rest)
    write_json(run.folder / OUTSIDE, summary)
    return summary


def _check_any_class(
    masks: OutsideMasks, records: Sequence[dict[str, Any]]
) -> None:
    """Refuse masks in which no pixel is of any class.

    Raises:
        UserError: There is none, as in masks of 0 and 255 that are read as
            ids.
    """
    read = [record for record in records if not record['missing']]
    if not read or any(
        r['removed'] or any(r['pixels'].values()) for r in read
    ):
        return
    cure = ''
    if isinstance(masks, IndexMasks):
        cure = (
            '. Of masks with an id per pixel, 0 is the background and 255 is '
            'unsure: where 255 is the object, write the id of its class, or '
            'call the file IMAGE_CLASS.png'
        )
    raise UserError(
        f'--seeds {masks.path}: none of {count(len(read), "mask")} of '
        f'labelled images has a pixel of any class{cure}'
    )


def write_train_list(
    folder: Path, images: Sequence[RunImage], kept: set[str], what: str
) -> None:
    """Write the list of images to train on beside their masks.

    Args:
        folder: Folder of the masks.
        images: Images of the run.
        kept: Ids of those with a labelled pixel.
        what: What made the masks, for the message.

    Raises:
        UserError: None is left.
    """
    files = [
        Path(image.file).name
        for image in images
        if image.split == 'train' and image.id in kept
    ]
    if not files:
        raise UserError(
            f'{what} leaves no pixel to train on: each is without a mask, of '
            'a class that its image does not have, or undecided'
        )
    text = ''.join(f'{file}\n' for file in files)
    write_atomically(folder / TRAIN_LIST, text.encode())
