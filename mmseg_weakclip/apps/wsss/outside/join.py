"""Stage that joins the masks of a method with those of another tool."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.apps.run_folder.schema import JOINED, RunImage
from mmseg_weakclip.apps.run_folder.store import write_json
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.common.masks import read_mask
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.pseudo_masks.store import MaskStore

from .import_masks import write_train_list
from .tally import named
from .veto import IGNORED

# Folders of the refined masks of both, relative to the run's.
METHOD, OUTSIDE_TOOL = 'refined_seeds', 'refined_outside'


def agreed_labels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a mask of the labels that two masks agree on.

    Where one of them is open, they do not agree.

    Args:
        first: Class ids, IGNORED where the pixel is open, (H, W).
        second: Class ids of the other mask, (H, W).

    Returns:
        Class ids, IGNORED where the masks differ, uint8, (H, W).
    """
    return np.where(first == second, first, IGNORED).astype(np.uint8)


@dataclass(frozen=True)
class Joiner:
    """Join of both masks of one image.

    Attributes:
        folder: Folder of the run.
        palette: Colours of the classes.
        store: Folder of the joined masks.
    """

    folder: Path
    palette: list[list[int]]
    store: MaskStore

    def __call__(self, image: RunImage) -> dict[str, Any]:
        """Join and write the masks of an image.

        Returns:
            Record: ``id``, and ``labelled``, the share of pixels on which
            both agree.
        """
        masks = (
            read_mask(str(self.folder / source / 'masks' / f'{image.id}.png'))
            for source in (METHOD, OUTSIDE_TOOL)
        )
        joined = agreed_labels(*masks)
        self.store.write_mask(image.id, joined, self.palette)
        return dict(id=image.id, labelled=float((joined != IGNORED).mean()))


def join_sources(
    run: Run, folder: Path, inputs: dict[str, str]
) -> dict[str, Any]:
    """Join the masks of all labelled images.

    Args:
        run: Run with its images.
        folder: Folder of the joined masks, which is made anew.
        inputs: Digests of both masks.

    Returns:
        Summary: ``images``, their number; ``labelled``, the mean share of
        pixels with a label; and ``left_out``, paths of images to train on
        without any.

    Raises:
        UserError: The masks agree on no pixel of an image to train on.
    """
    shutil.rmtree(folder, ignore_errors=True)
    store = MaskStore(folder)
    store.open(dict(joined=inputs))
    images = [image for image in run.images if image.labels]
    joiner = Joiner(run.folder, run.classes.palette, store)
    with ThreadPoolExecutor(max(1, run.workers)) as pool:
        records = list(
            progress_bar('join', len(images), pool.map(joiner, images))
        )
    for record in records:
        store.finish(record)
    shares = {record['id']: record['labelled'] for record in records}
    kept = {image_id for image_id, share in shares.items() if share}
    write_train_list(folder, images, kept, 'the method joined with --seeds')
    summary = dict(
        images=len(images),
        labelled=sum(shares.values()) / len(images),
        left_out=_sources(images, kept),
    )
    write_json(run.folder / JOINED, summary)
    return summary


def _sources(images: Sequence[RunImage], kept: set[str]) -> list[str]:
    return [
        image.source
        for image in images
        if image.split == 'train' and image.id not in kept
    ]


def describe_join(summary: dict[str, Any]) -> list[str]:
    """Return on how much both masks agree, in lines.

    Args:
        summary: See :func:`join_sources`.
    """
    lines = [
        f'both agree on {100 * summary["labelled"]:.0f} % of the pixels of '
        f'{count(summary["images"], "image")}; the others are unsure'
    ]
    if summary['left_out']:
        lines.append(
            f'{count(len(summary["left_out"]), "image")} without an agreed '
            f'pixel left out of the training: {named(summary["left_out"])}'
        )
    return lines
