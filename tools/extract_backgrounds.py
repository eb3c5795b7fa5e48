"""Find the background texts of every class of every image, by CLIP alone.

    python tools/extract_backgrounds.py configs/clims/extract_voc12.py

CONFIG names the images and their labels (train_dataloader.dataset) and, in
background_extractor, the CLIP, the vocabulary and the settings. Embeddings of
the images are kept below --work-dir; a run that was killed goes on from
there.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from torch import Tensor

from mmseg_weakclip.apps.commands import arguments as command_line
from mmseg_weakclip.common.overrides import add_override_flag
from mmseg_weakclip.datasets.transforms import LoadImageLabels, find_transform
from mmseg_weakclip.models.clims.extractor import (
    ExtractionSettings,
    TextEncoder,
    extract_backgrounds,
)
from mmseg_weakclip.models.clims.views import (
    ImageViews,
    ViewStore,
    encode_views,
    five_crops,
)
from mmseg_weakclip.models.clims.words import read_background_words
from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.tokenizer import Tokenizer
from mmseg_weakclip.models.clip.vision import fingerprint
from mmseg_weakclip.models.clip.weights import load_clip

# Texts of a class in the summary.
SHOWN = 5


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='the cache to write (default: background_extractor.out)',
    )
    parser.add_argument(
        '--work-dir',
        help='folder of the embeddings (default: work_dirs/<name of the '
        'config>)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=32, help='images at a time'
    )
    add_override_flag(parser)
    parser.set_defaults(launcher='none', local_rank=0)
    return parser.parse_args()


def build_dataset(cfg: Config) -> BaseDataset:
    """The images, which must come without masks."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    loader = find_transform(dataset.pipeline, LoadAnnotations)
    if loader is not None:
        raise SystemExit(
            f'the pipeline reads masks ({type(loader).__name__}), which must '
            'not be looked at here; take it out'
        )
    return dataset


def list_images(dataset: BaseDataset) -> list[str]:
    """Ids of all images, the stems of their files."""
    paths = [
        dataset.get_data_info(index)['img_path']
        for index in range(len(dataset))
    ]
    ids = {Path(path).stem: path for path in paths}
    if len(ids) < len(paths):
        path = next(p for p in paths if ids[Path(p).stem] != p)
        raise SystemExit(f'{path} and {ids[Path(path).stem]} have the same id')
    return list(ids)


def read_labels(
    dataset: BaseDataset, image_ids: Sequence[str]
) -> tuple[tuple[str, ...], Tensor]:
    """Foreground classes (K), and which of them each image has, (N, K)."""
    loader = find_transform(dataset.pipeline, LoadImageLabels)
    if loader is None:
        raise SystemExit(
            'the pipeline has no LoadImageLabels, so the labels are unknown'
        )
    labels = loader.load(dataset.metainfo['classes'])
    result = torch.zeros(len(image_ids), len(labels.classes), dtype=torch.bool)
    for row, image_id in zip(result, image_ids):
        row[list(labels[image_id])] = True
    return labels.classes, result


def main() -> None:
    args = parse_args()
    cfg = command_line.load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    options = dict(cfg.background_extractor)
    model, pretrained = options.pop('model'), options.pop('pretrained')
    vocabulary = read_background_words(options.pop('vocabulary'))
    boxes = five_crops(options.pop('crops', 0.6))
    out = options.pop('out', None)
    out = args.out or (out and Path(out))
    if out is None:
        raise SystemExit('give --out, or out in background_extractor')
    settings = ExtractionSettings(**options)
    dataset = build_dataset(cfg)
    image_ids = list_images(dataset)
    classes, labels = read_labels(dataset, image_ids)
    device = get_device()
    tokenizer = Tokenizer(model)
    clip = load_clip(model, pretrained).eval().to(device)
    made_of = dict(
        model=model,
        fingerprint=int(fingerprint(clip.visual)),
        boxes=boxes,
        images=hashlib.sha256('\n'.join(image_ids).encode()).hexdigest(),
    )
    store = ViewStore(Path(cfg.work_dir) / 'views', made_of, len(image_ids))
    encode_views(
        store,
        ImageViews(dataset, boxes, clip.visual.image_size),
        clip.visual,
        device,
        args.batch_size,
        cfg.train_dataloader.get('num_workers', 0),
    )
    cache = extract_backgrounds(
        image_ids,
        store.read(),
        labels,
        classes,
        vocabulary,
        TextEncoder(TextTower(clip, pad=tokenizer.pad), tokenizer),
        settings,
    )
    cache.note.update(
        model=model, pretrained=pretrained, fingerprint=made_of['fingerprint']
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    cache.save(out)
    print(f'\n{len(cache)} images in {out}; what most images have:')
    for name, texts in cache.most_frequent(SHOWN).items():
        found = ', '.join(f'{text} {count}' for text, count in texts)
        print(f'  {name}: {found or "nothing"}')


if __name__ == '__main__':
    main()
