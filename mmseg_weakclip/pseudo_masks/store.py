"""Folder of masks, with its settings and what is finished; CAM files.

``MaskStore`` is the folder, ``sum_areas`` adds up its records, and
``save_scores`` and ``load_scores`` are the files of stored CAMs in it.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.masks import encode_mask

SETTINGS = 'settings.json'
MASKS = 'masks'
SCORES = 'scores'
STAGES = ('raw', 'refined')


def sum_areas(
    records: Sequence[dict[str, Any]], num_classes: int
) -> dict[str, np.ndarray]:
    """Sum the areas of intersection, prediction and truth over masks.

    Args:
        records: Records of one folder, each with the areas of its classes at
            every stage; at least one.
        num_classes: K.

    Returns:
        int64 (3, K) by stage, for ``class_ious``.
    """
    sums = {
        stage: np.zeros((3, num_classes), np.int64)
        for stage in STAGES
        if stage in records[0]
    }
    for stage, total in sums.items():
        for record in records:
            for class_id, counts in record[stage].items():
                total[:, int(class_id)] += counts
    return sums


class MaskStore:
    """Masks, a record for each, and the settings that made them all.

    ``settings.json`` says how the masks were made, ``masks/<id>.png`` holds
    them, and ``records_<rank>.jsonl`` has a line for each finished one. The
    line is written after the mask, and a line cut short does not count, so
    that an image is finished only when its mask is whole.

    Args:
        folder: Folder of all these files.
        rank: Rank of this process; each process writes its own records.
    """

    def __init__(self, folder: str | Path, rank: int = 0) -> None:
        self.folder = Path(folder)
        self.rank = rank
        self._records: TextIO | None = None

    def open(self, settings: dict[str, Any]) -> None:
        """Begin the folder, or continue it if it has the same settings.

        Args:
            settings: Everything that the masks depend on, as JSON values.

        Raises:
            ValueError: The folder holds masks made with other settings.
        """
        path = self.folder / SETTINGS
        settings = json.loads(json.dumps(settings))
        if path.is_file():
            changes = describe_changes(json.loads(path.read_text()), settings)
            if changes:
                raise ValueError(
                    f'{self.folder} holds masks made with other settings '
                    f'({changes}). Choose another output_dir, or remove it '
                    'to begin anew'
                )
            return
        (self.folder / MASKS).mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(settings, indent=1).encode())

    def mask_path(self, image_id: str) -> Path:
        """Return the file of an image's mask."""
        return self.folder / MASKS / f'{image_id}.png'

    def score_path(self, image_id: str) -> Path:
        """Return the file of an image's stored CAMs."""
        return self.folder / SCORES / f'{image_id}.npz'

    def finished(self) -> dict[str, dict[str, Any]]:
        """Return the records of the finished images of all ranks, by id."""
        records = {}
        for path in sorted(self.folder.glob('records_*.jsonl')):
            for line in path.read_text().splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the process died while it wrote this line
                if self.mask_path(record['id']).is_file():
                    records[record['id']] = record
        return records

    def write_mask(
        self, image_id: str, mask: np.ndarray, palette: Sequence[Sequence[int]]
    ) -> None:
        """Write one mask; the image is finished after :meth:`finish`.

        Args:
            image_id: Id of the image, the stem of the file.
            mask: Class ids, (H, W).
            palette: RGB triple of each class.
        """
        write_atomically(self.mask_path(image_id), encode_mask(mask, palette))

    def finish(self, record: dict[str, Any]) -> None:
        """Record that the image ``record['id']`` is finished."""
        if self._records is None:
            path = self.folder / f'records_{self.rank}.jsonl'
            # A line cut short by a crash must not swallow the next one.
            broken = path.is_file() and not path.read_bytes().endswith(b'\n')
            self._records = path.open('a', buffering=1)
            self._records.write('\n' * broken)
        self._records.write(json.dumps(record) + '\n')


def describe_changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the values that differ, by dotted key; '' if there are none.

    Args:
        before: Settings of what is there, as JSON values.
        now: Settings of today.
    """
    there, here = dict(_leaves(before)), dict(_leaves(now))
    return '; '.join(
        f'{key}: {_short(there.get(key))} there, {_short(here.get(key))} now'
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    )


def _leaves(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dictionaries with their dotted keys."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f'{key}.{name}' if key else name)
    else:
        yield key, value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def save_scores(
    path: str | Path, scores: Tensor, classes: np.ndarray, stride: int = 8
) -> None:
    """Store the CAMs of an image's own classes as a compressed npz.

    It holds ``scores``, uint8 (P, h, w), means over ``stride`` x ``stride``
    pixels times 255; ``classes``, ids (P,); and ``size``, (H, W).

    Args:
        path: File, written whole or not at all.
        scores: Scores of P foreground classes, in [0, 1], (P, H, W).
        classes: Ids of these classes, (P,).
        stride: Side of the cells that are averaged, in pixels.

    Raises:
        ValueError: A score lies outside of [0, 1].
    """
    if scores.numel() and not 0 <= scores.min() <= scores.max() <= 1 + 1e-4:
        raise ValueError(
            f'{path}: scores from {scores.min():.3g} to {scores.max():.3g} '
            'cannot be kept as 8 bits; they must lie in [0, 1]'
        )
    size = scores.shape[1:]
    grid = -(-size[0] // stride), -(-size[1] // stride)
    if len(scores):
        scores = F.adaptive_avg_pool2d(scores[None].float(), grid)[0]
    else:
        scores = scores.new_zeros(0, *grid)
    values = (scores * 255).round().clamp(0, 255).to(torch.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        scores=values.cpu().numpy(),
        classes=np.asarray(classes, np.uint8),
        size=np.asarray(size, np.int32),
    )
    write_atomically(path, buffer.getvalue())


def load_scores(path: str | Path) -> tuple[Tensor, np.ndarray]:
    """Load CAMs that :func:`save_scores` has stored.

    Args:
        path: File of the CAMs.

    Returns:
        Scores in [0, 1] at the image's size, (P, H, W), and the ids of their
        classes, (P,).

    Raises:
        ValueError: The file is damaged or holds something else.
    """
    try:
        with np.load(path) as file:
            scores, classes, size = (
                file[name] for name in ('scores', 'classes', 'size')
            )
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'{path} holds no class maps: {error}; make it again with '
            'score_stride in PseudoMaskWriter'
        ) from error
    maps = torch.from_numpy(scores).float() / 255
    if not len(maps):
        return maps.new_zeros(0, *size), classes
    maps = F.interpolate(maps[None], tuple(size.tolist()), mode='bilinear')[0]
    return maps, classes
