"""How long a sample of each training pipeline takes on one core.

    python benchmarks/loaders.py

draws photos with seeds, labels and captions, and loads them as the configs
do, in one thread. A row for each config: milliseconds of processor time per
image, the median over images and rounds (an image's first loading is left
out: it fills caches), and the transforms that take the most of it. Time spent
waiting for the disk does not count.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image

import mmseg_weakclip.parts  # noqa: F401  (registers the transforms)
from mmseg_weakclip.datasets.configs import iter_dicts
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels
from mmseg_weakclip.toyland.scenes import make_scene

CONFIGS = Path(__file__).parents[1] / 'configs'
# A config of each training pipeline, and the height and width of its photos.
PIPELINES = (
    ('weakclip_voc.py', (375, 500)),
    ('weakclip_coco.py', (480, 640)),
    ('excel_voc.py', (375, 500)),
    ('clims_voc.py', (375, 500)),
    # COCO's photos, and those of CC3M as img2dataset shrinks them.
    ('segclip/segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py', (480, 640)),
    ('segclip/segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py', (224, 298)),
    ('segmenters/deeplabv2_r101_2xb10-30k_voc12-321x321.py', (375, 500)),
)
CLASSES = tuple(f'class {number}' for number in range(20))


def make_photo(number: int, size: tuple[int, int]) -> tuple[Any, Any]:
    """A photo with noise like that of a camera, and its mask."""
    rng = np.random.default_rng(number)
    height, width = size
    scene = make_scene(0, number, 96)
    photo = cv2.resize(scene.image, (width, height)).astype(np.float32)
    for scale in (1, 4):
        noise = rng.normal(0, 9, (height // scale, width // scale, 3))
        photo += cv2.resize(noise.astype(np.float32), (width, height))
    mask = cv2.resize(
        scene.mask, (width, height), interpolation=cv2.INTER_NEAREST
    )
    return photo.clip(0, 255).astype(np.uint8), mask.astype(np.uint8)


def write_photos(
    folder: Path, size: tuple[int, int], count: int
) -> list[dict[str, Any]]:
    """Write photos and seeds; return what a data set says of each."""
    folder.mkdir(parents=True)
    results, labels = [], {}
    for number in range(count):
        photo, mask = make_photo(number, size)
        path, seeds = folder / f'{number}.jpg', folder / f'{number}.png'
        Image.fromarray(photo).save(path, quality=92)
        Image.fromarray(mask).save(seeds)
        labels[path.stem] = (number % len(CLASSES),)
        results.append(
            dict(
                img_path=str(path),
                seg_map_path=str(seeds),
                img_name=path.name,
                img_id=path.stem,
                caption='a scene',
                classes=('background', *CLASSES),
            )
        )
    ImageLabels(CLASSES, labels, '').save(folder / 'image_labels.json')
    return results


def train_pipeline(config: str, folder: Path) -> list[BaseTransform]:
    """The transforms of a config, with labels and caches in the folder."""
    dataset = Config.fromfile(CONFIGS / config).train_dataloader.dataset
    steps = next(d['pipeline'] for d in iter_dicts(dataset) if 'pipeline' in d)
    for step in steps:
        if step['type'] == 'LoadImageLabels':
            step.update(
                ann_file=str(folder / 'image_labels.json'),
                classes=('background', *CLASSES),
            )
        if 'cache_dir' in step:
            step['cache_dir'] = str(folder / 'cache')
    return [TRANSFORMS.build(step) for step in steps]


def run_steps(
    steps: list[BaseTransform],
    sample: dict[str, Any],
    clock: Callable[[], float] = time.process_time,
) -> Iterator[tuple[str, float]]:
    """Load a sample; yield each transform's name and its seconds."""
    results = dict(sample, seg_fields=[], reduce_zero_label=False)
    for step in steps:
        start = clock()
        results = step(results)
        yield type(step).__name__, clock() - start


def measure(
    config: str, size: tuple[int, int], folder: Path, images: int, rounds: int
) -> str:
    """Return the row of a config."""
    samples = write_photos(folder, size, images)
    steps = train_pipeline(config, folder)
    totals, parts = [], defaultdict(list)
    for turn in range(rounds + 1):
        for sample in samples:
            seconds = list(run_steps(steps, sample))
            if turn:
                totals.append(sum(time for _, time in seconds))
                for name, time_ in seconds:
                    parts[name].append(time_)
    medians = {name: statistics.median(own) for name, own in parts.items()}
    most = sorted(medians, key=medians.__getitem__, reverse=True)[:3]
    words = ', '.join(f'{name} {1000 * medians[name]:.1f}' for name in most)
    height, width = size
    return (
        f'| {config} | {width} x {height} | '
        f'{1000 * statistics.median(totals):.1f} | {words} |'
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--images', type=int, default=16)
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    init_default_scope('mmseg')
    print('| config | photo | ms per image | most of it |\n|---|---|---|---|')
    for number, (config, size) in enumerate(PIPELINES):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / str(number)
            row = measure(config, size, folder, args.images, args.rounds)
        print(row, flush=True)


if __name__ == '__main__':
    main()
