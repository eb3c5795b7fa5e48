"""Files of regions: one JSON per image, written once.

``{"size": [H, W], "image": digest, "generator": words, "regions": [{"rle":
compressed run lengths of COCO, "area": pixels, "score": number, "level":
number or null}]}``. The digest is that of the image's file, so that regions of
another image are found out.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_weakclip.common.files import digest_file, write_atomically
from mmseg_weakclip.common.rle import (
    compress_runs,
    decode_runs,
    encode_label_runs,
    encode_runs,
    expand_runs,
)

# What made the regions of a folder.
SETTINGS = 'settings.json'


@dataclass(frozen=True)
class Regions:
    """Regions of one image.

    Attributes:
        masks: Pixels of each region, bool, (R, H, W), none empty.
        scores: How sure the generator is of each, (R,).
        levels: Whole objects have higher levels than their parts, (R,);
            0 where the generator has none.
    """

    masks: np.ndarray
    scores: np.ndarray
    levels: np.ndarray

    @classmethod
    def of_labels(cls, labels: np.ndarray) -> 'Regions':
        """Return the regions of a partition, (H, W), one for each id."""
        masks = labels == np.unique(labels)[:, None, None]
        return cls(masks, np.ones(len(masks)), np.zeros(len(masks), int))

    @classmethod
    def of_masks(
        cls,
        masks: Sequence[np.ndarray],
        size: tuple[int, int],
        scores: Sequence[float] | None = None,
        levels: Sequence[int] | None = None,
    ) -> 'Regions':
        """Return regions of masks, (H, W) each, without the empty ones."""
        stacked = np.array(masks, bool).reshape(-1, *size)
        count = len(stacked)
        kept = stacked.any((1, 2))
        return cls(
            stacked[kept],
            np.asarray(np.ones(count) if scores is None else scores)[kept],
            np.asarray(np.zeros(count) if levels is None else levels)[kept],
        )


def region_path(folder: str | Path, image_id: str) -> Path:
    """Return the file of an image's regions."""
    return Path(folder) / f'{image_id}.json'


def describe_regions(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of regions, and what made those of the folder.

    Masks depend on both: a folder may be made anew in between.

    Args:
        options: ``folder`` of the regions, and other arguments.
    """
    note = Path(options['folder'], SETTINGS)
    made = note.read_text() if note.is_file() else None
    return dict(options, made=made)


def write_regions(
    path: Path,
    regions: Regions | np.ndarray,
    image_path: str | Path,
    generator: str,
) -> None:
    """Write the regions of an image, atomically.

    Args:
        path: File to write.
        regions: Regions of the image; or the region of each pixel, (H, W),
            which takes no mask for each.
        image_path: File of the image.
        generator: What found them, in words.
    """
    kinds: Iterable[tuple[float, int]] = repeat((1.0, 0))
    if isinstance(regions, Regions):
        size = regions.masks.shape[1:]
        runs = [encode_runs(mask) for mask in regions.masks]
        kinds = zip(regions.scores, regions.levels)
    else:
        size, runs = regions.shape, encode_label_runs(regions)
    content = dict(
        size=list(size),
        image=digest_file(Path(image_path)),
        generator=generator,
        regions=[
            dict(
                rle=compress_runs(lengths),
                area=sum(lengths[1::2]),
                score=round(float(score), 4),
                level=int(level),
            )
            for lengths, (score, level) in zip(runs, kinds)
        ],
    )
    write_atomically(path, json.dumps(content).encode())


def read_regions(path: Path, image_path: str | Path | None = None) -> Regions:
    """Read the regions of an image.

    Args:
        path: File of the regions.
        image_path: File of the image, which is compared with that of which
            the regions were made; None does not compare.

    Returns:
        The regions; there may be none.

    Raises:
        ValueError: The file is missing or damaged, or belongs to another
            image.
    """
    if not path.is_file():
        raise ValueError(
            f'{path} with the regions of an image does not exist; make all '
            'with `weakclip regions`'
        )
    try:
        content = json.loads(path.read_bytes())
        height, width = content['size']
        regions = [_read_region(one, (height, width)) for one in
                   content['regions']]  # fmt: skip
        digest = content.get('image')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is not a file of regions, or damaged ({error}); remove '
            'it and make it again with `weakclip regions`'
        ) from error
    if image_path is not None and digest not in (
        None,
        digest_file(Path(image_path)),
    ):
        raise ValueError(
            f'{path} holds regions of another image than {image_path}; remove '
            'it and make it again with `weakclip regions --images '
            f'{Path(image_path).parent}`'
        )
    masks, scores, levels = zip(*regions) if regions else ((), (), ())
    return Regions.of_masks(masks, (height, width), scores, levels)


def _read_region(
    region: dict[str, Any], size: tuple[int, int]
) -> tuple[np.ndarray, float, int]:
    """Return the mask, score and level of one region."""
    counts = region['rle']
    if isinstance(counts, dict):
        # As COCO has it, with the size again.
        if list(counts['size']) != list(size):
            raise ValueError(f'a region of {counts["size"]} pixels')
        counts = counts['counts']
    runs = expand_runs(counts) if isinstance(counts, str) else counts
    mask = decode_runs(runs, size)
    score, level = region.get('score'), region.get('level')
    return mask, 1.0 if score is None else float(score), int(level or 0)
