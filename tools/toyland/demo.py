"""The whole pipeline on toyland: seeds, WeakCLIP, pseudo masks, scores.

Runs the same tools that a data set of your own needs, and shows each command.
What is finished is not done again, so a second run goes on with the first;
--seed trains once more from other random numbers.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_weakclip.common.overlay import tile_pictures
from mmseg_weakclip.evaluation.areas import class_ious, iou_table
from mmseg_weakclip.pseudo_masks.store import MaskStore, sum_areas
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.writer import IMAGES, LISTS, MASKS

ROOT = Path(__file__).resolve().parents[2]
DATA = Path('data/toyland')
SEEDS = DATA / 'seeds'
CONFIGS = Path('configs/toyland')


def run(*command: str | Path) -> None:
    """Run one of our tools and show how it was called."""
    words = [str(word) for word in command]
    print(f'\n$ python {shlex.join(words)}', flush=True)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def score_masks(folder: Path, ids: list[str]) -> dict[str, np.ndarray]:
    """IoU of each class by stage (raw, refined), on some of the images."""
    records = MaskStore(folder).finished()
    areas = sum_areas([records[name] for name in ids], len(CLASSES) + 1)
    return {stage: class_ious(sums) for stage, sums in areas.items()}


def read_network_score(work_dir: Path) -> float:
    """mIoU that the latest test in a work dir has noted."""
    notes = sorted(work_dir.glob('*/*.json'))
    return json.loads(notes[-1].read_text().splitlines()[-1])['mIoU']


def draw_picture(masks: Path, ids: list[str], path: Path) -> None:
    """Image, seed, pseudo mask and truth side by side, a row for each id."""
    columns = (
        ('image', ROOT / DATA / IMAGES, 'jpg'),
        ('seed', ROOT / SEEDS / 'masks', 'png'),
        ('pseudo mask', masks / 'masks', 'png'),
        ('truth', ROOT / DATA / MASKS, 'png'),
    )
    pictures = {
        name: [Image.open(folder / f'{image_id}.{suffix}') for image_id in ids]
        for name, folder, suffix in columns
    }
    tile_pictures(pictures).save(path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seed', type=int, default=0, help='of the training')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    start = time.time()
    work_dir = Path(f'work_dirs/demo/seed{args.seed}')
    masks = work_dir / 'pseudo_masks'

    run('tools/make_toyland.py', '--out', DATA)
    run(
        'tools/test.py',
        CONFIGS / 'seeds.py',
        '--tta',
        '--work-dir',
        work_dir / 'seeds',
    )
    run(
        'tools/train.py',
        CONFIGS / 'weakclip.py',
        '--resume',
        '--work-dir',
        work_dir,
        '--cfg-options',
        f'randomness.seed={args.seed}',
        # Scored once, below.
        'val_cfg=None',
        'val_dataloader=None',
        'val_evaluator=None',
    )
    checkpoint = (ROOT / work_dir / 'last_checkpoint').read_text().strip()
    run(
        'tools/test.py',
        CONFIGS / 'weakclip_masks.py',
        checkpoint,
        '--tta',
        '--out',
        masks,
        '--work-dir',
        work_dir / 'masks',
    )
    run(
        'tools/test.py',
        CONFIGS / 'weakclip.py',
        checkpoint,
        '--work-dir',
        work_dir / 'test',
    )

    ids = (ROOT / DATA / LISTS / 'val.txt').read_text().split()
    seeds = score_masks(ROOT / SEEDS, ids)
    refined = score_masks(ROOT / masks, ids)
    network = read_network_score(ROOT / work_dir / 'test')
    picture = ROOT / work_dir / 'pseudo_masks.png'
    draw_picture(ROOT / masks, ids[:6], picture)
    table = iou_table(
        ('background', *CLASSES),
        seeds=seeds['raw'],
        masks=refined['raw'],
        refined=refined['refined'],
    )
    print(
        f'\nIoU on the {len(ids)} images of val, in percent:\n{table}\n'
        f'seeds, with image labels: {np.nanmean(seeds["raw"]):.2f} mIoU\n'
        'pseudo masks of WeakCLIP, with image labels: '
        f'{np.nanmean(refined["raw"]):.2f}, after the CRF '
        f'{np.nanmean(refined["refined"]):.2f}\n'
        f'its network, without any label: {network:.2f}\n'
        f'picture: {picture}\n'
        f'{(time.time() - start) / 60:.1f} minutes\n\n'
        'The third stage, a stock segmenter that learns from these masks:\n'
        f'python tools/train.py {CONFIGS}/segmenter.py --work-dir '
        f'{work_dir}/segmenter --cfg-options train_dataloader.dataset.'
        f'data_prefix.seg_map_path={ROOT / masks}/masks'
    )


if __name__ == '__main__':
    main()
