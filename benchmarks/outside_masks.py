"""What wrong masks of another tool cost, and what the veto and the CRF mend.

    python benchmarks/outside_masks.py --out work_dirs/outside_masks

draws toyland, damages the true masks of its training scenes in several ways,
and gives them to `weakclip run --seeds`. It prints a table of mIoUs: of the
masks as they are, after the veto of the labels, after refinement, and of the
segmenter on scenes that it has not seen. A stopped benchmark goes on.
"""

import argparse
import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from steps import describe_machine, measure

from mmseg_weakclip.common.masks import encode_mask, label_colors, read_mask
from mmseg_weakclip.evaluation.areas import (
    areas_of,
    class_ious,
    confusion_matrix,
)
from mmseg_weakclip.toyland.objects import CLASSES

KINDS = ('truth', 'holes', 'shifted', 'wrong class', 'missing')
# More options of a run, a row each, for the masks of a kind.
ROWS = (
    *((kind, ()) for kind in KINDS),
    ('missing', ('--seed-rest', 'complete')),
)
# Share of the objects that get another class, or go.
SHARE = 0.3
# Holes of an object, their radius and the shift, by the side of the image.
HOLES, RADIUS, SHIFT = 3, 0.05, 0.06
# Side of the scenes, which are not enlarged for the segmenter.
SIDE = 96


def damage(mask: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """A true mask with the mistakes of a kind.

    Args:
        mask: Class ids, (H, W).
        kind: One of ``KINDS``.
        seed: Seed of the mistakes of this mask.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    found = mask.copy()
    side = min(mask.shape)
    if kind == 'shifted':
        angle = rng.uniform(0, 2 * np.pi)
        x, y = SHIFT * side * np.cos(angle), SHIFT * side * np.sin(angle)
        return cv2.warpAffine(
            mask,
            np.array([[1, 0, round(x)], [0, 1, round(y)]], np.float64),
            mask.shape[::-1],
            flags=cv2.INTER_NEAREST,
        )
    for class_id in np.unique(mask[(mask > 0) & (mask < 255)]):
        pixels = np.argwhere(mask == class_id)
        if kind == 'holes':
            for row, column in pixels[rng.integers(len(pixels), size=HOLES)]:
                rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
                distance = np.hypot(rows - row, columns - column)
                found[distance <= RADIUS * side] = 0
        elif kind in ('wrong class', 'missing') and rng.random() < SHARE:
            others = [i for i in range(1, len(CLASSES) + 1) if i != class_id]
            wrong = rng.choice(others) if kind == 'wrong class' else 0
            found[mask == class_id] = wrong
    return found


def mean_iou(masks: Path, truth: Path, names: Sequence[str]) -> float:
    """The mIoU of a folder of masks, in percent; open pixels are wrong."""
    num_classes = len(CLASSES) + 1
    total = np.zeros((num_classes, num_classes + 1), np.int64)
    for name in names:
        total += confusion_matrix(
            read_mask(str(masks / f'{name}.png')),
            read_mask(str(truth / f'{name}.png')),
            num_classes,
        )
    return float(np.nanmean(class_ious(areas_of(total))))


def make_world(folder: Path, train: int, val: int) -> list[str]:
    """Draw the scenes, and damage the masks; names of the training scenes."""
    toyland, plain = folder / 'toyland', folder / 'plain'
    if not plain.is_dir():
        measure(
            ['-m', 'mmseg_weakclip', 'toyland', '--out', str(toyland),
             '--train', str(train), '--val', str(val),
             '--plain', str(plain)]
        )  # fmt: skip
    with (plain / 'labels.csv').open(newline='') as file:
        images = [row['image'] for row in csv.DictReader(file)]
    names = sorted(Path(image).stem for image in images)
    shutil.copytree(
        toyland / 'SegmentationClass', folder / 'truth', dirs_exist_ok=True
    )
    trained = [name for name in names if name.startswith('train')]
    kept = [name for name in names if name not in trained]
    (folder / 'val.txt').write_text('\n'.join(kept))
    palette = label_colors(len(CLASSES) + 1)
    for kind in KINDS:
        out = folder / 'masks' / kind
        out.mkdir(parents=True, exist_ok=True)
        for seed, name in enumerate(trained):
            mask = read_mask(str(folder / f'truth/{name}.png'))
            (out / f'{name}.png').write_bytes(
                encode_mask(damage(mask, kind, seed), palette)
            )
    return trained


def run_row(
    folder: Path,
    kind: str,
    more: Sequence[str],
    iterations: int,
    names: Sequence[str],
) -> dict[str, str]:
    """Run the command on the masks of a kind; a row's cells, by column."""
    run = '_'.join([kind, *more]).replace(' ', '-').replace('--', '')
    out, plain = folder / 'runs' / run, folder / 'plain'
    measure(
        ['-m', 'mmseg_weakclip', 'run', '--images', str(plain / 'photos'),
         '--labels', str(plain / 'labels.csv'),
         '--classes', str(plain / 'classes.yaml'),
         '--truth', str(folder / 'truth'),
         '--val-list', str(folder / 'val.txt'),
         '--seeds', str(folder / 'masks' / kind), *more,
         '--profile', 'toyland', '--segmenter', 'fpn_small',
         '--segmenter-size', str(SIDE), '--batch-size', '8',
         '--iterations', str(max(1, iterations)), '--gpus', '0',
         '--until', 'score' if iterations else 'masks', '--resume',
         '--work-dir', str(out)]
    )  # fmt: skip
    summary = json.loads((out / 'outside_masks.json').read_text())
    vetoed, absent = (
        {image for found in summary[key].values() for image in found['images']}
        for key in ('vetoed', 'absent')
    )
    masks = {
        'as they are': folder / 'masks' / kind,
        'after the veto': out / 'seeds/masks',
        'refined': out / 'masks/masks',
    }
    cells = {
        column: f'{mean_iou(path, folder / "truth", names):.1f}'
        for column, path in masks.items()
    }
    cells['segmenter, new scenes'] = '–'
    if iterations:
        scores = json.loads((out / 'scores.json').read_text())['roles']
        miou = scores['predictions']['val']['mIoU']
        cells['segmenter, new scenes'] = f'{miou:.1f}'
    cells['scenes with a veto'] = str(len(vetoed))
    cells['scenes with a label without a pixel'] = str(len(absent))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', default='work_dirs/outside_masks')
    parser.add_argument('--train', type=int, default=120)
    parser.add_argument('--val', type=int, default=40)
    parser.add_argument(
        '--iterations',
        type=int,
        default=1500,
        help='of the segmenter; 0 leaves it out (default: %(default)s)',
    )
    args = parser.parse_args()
    folder = Path(args.out).absolute()
    names = make_world(folder, args.train, args.val)
    rows = []
    for kind, more in ROWS:
        cells = run_row(folder, kind, more, args.iterations, names)
        title = kind + (f', `{" ".join(more)}`' if more else '')
        rows.append({'masks of the training scenes': title, **cells})
    lines = [list(rows[0]), ['---'] * len(rows[0])]
    lines += [list(row.values()) for row in rows]
    print('\n'.join(f'| {" | ".join(line)} |' for line in lines))
    print(
        f'\n{args.train} training scenes, {args.val} new ones, `fpn_small`, '
        f'{args.iterations} iterations of 8; {describe_machine()}'
    )


if __name__ == '__main__':
    main()
