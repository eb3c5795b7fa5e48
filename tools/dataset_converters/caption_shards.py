"""Write the captioned images of a config into tar shards.

    python tools/dataset_converters/caption_shards.py \\
        configs/_base_/datasets/coco_captions.py --out data/coco_shards \\
        --short-side 224

CONFIG has a CaptionDataset, or several, as its training data. Every caption
becomes a sample, as img2dataset would write it: <key>.jpg, <key>.txt and
<key>.json. Samples are mixed first, since a stream of shards is shuffled only
among neighbours. The folder appears under its name when all of it is there.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.workers import map_in_order, progress_bar
from mmseg_weakclip.datasets.captions.dataset import CaptionDataset
from mmseg_weakclip.datasets.captions.shards import (
    image_for_shard,
    require_webdataset,
)
from mmseg_weakclip.datasets.checks.dataset import base_datasets

# Images per message to a process.
CHUNK = 16


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--out', type=Path, required=True, help='folder to write'
    )
    parser.add_argument(
        '--samples-per-shard', type=int, default=10000, metavar='N'
    )
    parser.add_argument(
        '--short-side',
        type=int,
        metavar='PIXELS',
        help='shrink larger images to this short side',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the mixing')
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 0,
        help='processes; 0 works in the main one',
    )
    add_override_flag(parser)
    return parser.parse_args(argv)


def list_samples(cfg: Config) -> list[tuple[str, str]]:
    """Image file and caption of every sample of the training data."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = []
    for part in base_datasets(dataset):
        if not isinstance(part, CaptionDataset):
            raise SystemExit(
                f'{type(part).__name__} is no CaptionDataset, of which '
                'shards can be made'
            )
        for index in range(len(part)):
            info = part.get_data_info(index)
            captions = info.get('captions') or (info['caption'],)
            samples += [(info['img_path'], caption) for caption in captions]
    return samples


def write_shards(
    folder: Path,
    samples: Sequence[tuple[str, str]],
    images: Iterator[tuple[str, bytes]],
    samples_per_shard: int,
) -> int:
    """Write all shards; returns their number."""
    bar = progress_bar('write shards', len(samples))
    with require_webdataset().ShardWriter(
        str(folder / '%05d.tar'),
        maxcount=samples_per_shard,
        maxsize=float('inf'),
        verbose=0,
        # Equal data make equal files.
        mtime=0,
        encoder=False,
    ) as writer:
        for index, ((path, caption), (suffix, image)) in enumerate(
            zip(samples, images)
        ):
            key = f'{index:09d}'
            meta = dict(key=key, caption=caption, file=path)
            writer.write(
                {
                    '__key__': key,
                    suffix: image,
                    'txt': caption.encode(),
                    'json': json.dumps(meta).encode(),
                }
            )
            bar.update()
        count = writer.shard
    bar.close()
    return count


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.out.exists():
        raise SystemExit(
            f'{args.out} is there; choose another folder or remove it'
        )
    cfg = Config.fromfile(args.config)
    override(cfg, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    listed = list_samples(cfg)
    order = np.random.default_rng(args.seed).permutation(len(listed))
    samples = [listed[i] for i in order]
    part = args.out.with_name(f'{args.out.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    images = map_in_order(
        partial(image_for_shard, short_side=args.short_side),
        [path for path, _ in samples],
        args.workers,
        image_for_shard.__module__,
        CHUNK,
    )
    try:
        count = write_shards(part, samples, images, args.samples_per_shard)
    except (OSError, ValueError, ImportError) as error:
        raise SystemExit(f'\nerror: {error}') from error
    os.replace(part, args.out)
    print(
        f'{len(samples)} captions in {count} shards: '
        f'{args.out}/{{{0:05d}..{count - 1:05d}}}.tar'
    )


if __name__ == '__main__':
    main()
