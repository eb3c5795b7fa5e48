"""Find the superpixels of a config's training images before any training.

    python tools/make_superpixels.py configs/_base_/datasets/coco_captions.py

CONFIG has FelzenszwalbSuperpixels with a cache_dir in the pipeline of its
training data. A training finds what is missing by itself; here all
processors do, and none waits for a GPU. Images that are done are passed
over, so a run that was killed goes on from there.

Exits with 1 if some image could not be read.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.common.workers import map_in_order, progress_bar
from mmseg_weakclip.datasets.captions import superpixel_jobs as jobs
from mmseg_weakclip.datasets.captions.dataset import CaptionDataset
from mmseg_weakclip.datasets.captions.stream import WebDatasetCaptions
from mmseg_weakclip.datasets.captions.superpixels import (
    FelzenszwalbSuperpixels,
)
from mmseg_weakclip.datasets.checks.captions import captioned_images
from mmseg_weakclip.datasets.checks.dataset import base_datasets
from mmseg_weakclip.datasets.transforms import find_transform

# Images per message to a process.
CHUNK = 8


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 0,
        help='processes; 0 works in the main one',
    )
    parser.add_argument(
        '--shown', type=int, default=5, help='problems to print'
    )
    add_override_flag(parser)
    return parser.parse_args(argv)


def jobs_of(dataset: Any) -> tuple[Callable[..., Any], list, int]:
    """What is to be done for a data set.

    Returns:
        A function, its items, and how many of them to send at once.
    """
    transform = find_transform(dataset.pipeline, FelzenszwalbSuperpixels)
    if transform is None or transform.cache is None:
        raise SystemExit(
            f'the pipeline of {type(dataset).__name__} has no '
            'FelzenszwalbSuperpixels with a cache_dir'
        )
    if isinstance(dataset, WebDatasetCaptions):
        function = partial(
            jobs.fill_shard, transform=transform, dataset=dataset
        )
        return function, dataset.shards, 1
    if not isinstance(dataset, CaptionDataset):
        raise SystemExit(
            f'{type(dataset).__name__} does not name its images; superpixels '
            'are kept for CaptionDataset and WebDatasetCaptions only'
        )
    function = partial(
        jobs.fill_image, transform=transform, backend_args=dataset.backend_args
    )
    images = captioned_images(dataset)
    return function, [(i.image_path, i.image_id) for i in images], CHUNK


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    cfg = read_config(args.config)
    override(cfg, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    total = jobs.FilledPart()
    for dataset in base_datasets(DATASETS.build(cfg.train_dataloader.dataset)):
        function, items, chunk = jobs_of(dataset)
        bar = progress_bar('superpixels', len(items))
        try:
            for done in map_in_order(
                function, items, args.workers, jobs.__name__, chunk
            ):
                total += done
                bar.update()
        except (ValueError, ImportError) as error:
            raise SystemExit(f'\n{error}') from error
        bar.close()
    print(
        f'Superpixels of {total.found} images found, {total.there} were '
        f'there; {len(total.problems)} images or shards could not be read.'
    )
    for problem in total.problems[: args.shown]:
        print(f'  {problem}')
    return int(bool(total.problems))


if __name__ == '__main__':
    raise SystemExit(main())
