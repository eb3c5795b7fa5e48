"""What the parts of docs/leading-methods.md cost.

    python benchmarks/leading_parts.py --threads 1 --repeats 3

Random images and weights, at the papers' sizes: crops of 320 x 320, patches of
16 pixels, 20 classes. The first table has training steps, forward and
backward, beside one of ExCEL; the second has what is done to class maps or
scores of a batch, beside the affinity of attention (CAA); the third has CLIP
itself with each dense path. Seconds are those of the processor, which other
processes change little. Text embeddings are made before, as in a training.
`--only NAME` runs one kind of step alone, and says how much memory the process
has had, or the dense paths.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from common import Clock, make_batch, make_parser, peak_bytes
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.engine.hooks import name_classes
from mmseg_weakclip.models.clip.dense.presets import (
    OWN_PRESETS,
    build_dense,
)
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.refine.affinity import (
    refine_by_affinity,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.class_affinity import class_affinity
from mmseg_weakclip.models.refine.label_propagation import (
    grid_places,
    propagate_labels,
    propagation_graph,
)
from mmseg_weakclip.models.refine.par import PAMR_OPTIONS, refine_by_pixels
from mmseg_weakclip.models.refine.transport import transport_cams

CONFIGS = Path(__file__).parents[1] / 'configs'
PLUS = 'weclip_plus/weclip-plus_vit-b16_dinov2-{}14_1xb4-30k_voc12-320x320{}'
STEPS = {
    'ExCEL': 'excel/excel_vit-b16_1xb4-30k_voc12-320x320_no-tse',
    'WeCLIP': 'excel/weclip_vit-b16_1xb4-30k_voc12-320x320',
    'WeCLIP+, CLIP alone': PLUS.format('s', '_clip-only'),
    'WeCLIP+, DINOv2-S': PLUS.format('s', ''),
    'WeCLIP+, DINOv2-S, super-class boundaries': PLUS.format('s', '_sbe'),
    'WeCLIP+, DINOv2-B': PLUS.format('b', ''),
}
PATHS = 'dense paths'
# Classes with background words, classes of an image, patches along a side.
TEXTS, OWN, SIDE = 45, 3, 20


def without_weights(config: object) -> None:
    """Take the names of weights out of a config, for random ones."""
    if isinstance(config, dict):
        if 'pretrained' in config:
            config['pretrained'] = None
        for value in config.values():
            without_weights(value)
    elif isinstance(config, list | tuple):
        for value in config:
            without_weights(value)


def build(path: str, device: str) -> BaseSegmentor:
    """Build a config's model in training mode."""
    cfg = Config.fromfile(CONFIGS / f'{path}.py')
    without_weights(cfg.model)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    names = cfg.train_dataloader.dataset.get('metainfo', {}).get('classes')
    name_classes(
        model,
        names or ['background', *(f'class {k}' for k in range(1, 21))],
    )
    return model.to(device).train()


def step(model: BaseSegmentor, batch: dict) -> None:
    """Run a training step without the optimiser."""
    data = model.data_preprocessor(deepcopy(batch), training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    model.zero_grad(set_to_none=True)


def operations(batch: int, crop: int, device: str) -> dict[str, Callable]:
    """What is done to class maps, on random ones."""
    torch.manual_seed(0)
    patches = SIDE * SIDE
    maps = torch.rand(batch, OWN, SIDE, SIDE, device=device)
    texts = torch.randn(batch, TEXTS, patches, device=device)
    attention = torch.rand(batch, patches, patches, device=device)
    features = torch.randn(batch, patches, 384, device=device)
    unit = torch.nn.functional.normalize(features, dim=2)
    images = 255 * torch.rand(batch, 3, crop, crop, device=device)
    scores = torch.rand(batch, OWN + 1, crop, crop, device=device)
    places = grid_places((SIDE, SIDE), crop / SIDE)

    def spread(affinity: Tensor) -> Tensor:
        return refine_by_affinity(maps, affinity)

    return {
        'affinity of attention (CAA)': lambda: spread(
            sinkhorn_affinity(attention)
        ),
        'affinity of classes (CDA)': lambda: spread(class_affinity(texts)),
        'label propagation': lambda: propagate_labels(
            maps, propagation_graph(unit, places)
        ),
        'transport of classes and words': lambda: transport_cams(
            texts.unflatten(2, (SIDE, SIDE))
        ),
        'PAR, 20 iterations': partial(refine_by_pixels, images, scores),
        'PAMR, 10 iterations': partial(
            refine_by_pixels, images, scores, **PAMR_OPTIONS
        ),
    }


def dense_paths(
    batch: int, crop: int, device: str, model: str = 'ViT-B-16-quickgelu'
) -> dict[str, Callable]:
    """One CLIP with each dense path that needs no other model."""
    vit = CLIPViT(model, None, with_tokens=True).to(device).eval()
    images = torch.randn(batch, 3, crop, crop, device=device)

    @torch.no_grad()
    def run(preset: str | None) -> None:
        vit.dense = build_dense(preset)
        vit(images)

    presets = [name for name in OWN_PRESETS if name != 'nacclip']
    return {
        'plain CLIP': partial(run, None),
        **{f'`{name}`': partial(run, name) for name in presets},
    }


def print_table(
    title: str,
    ways: Mapping[str, Callable],
    repeats: int,
    clock: Clock,
) -> None:
    """Print medians of all ways, run in turns, and ratios to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            clock()
            way()
            if turn:
                seconds[name].append(clock())
    first = next(iter(seconds.values()))
    print(f'\n| {title} | seconds | ratio (range) |\n| --- | --- | --- |')
    for name, times in seconds.items():
        ratios = [b / a for a, b in zip(first, times)]
        print(
            f'| {name} | {statistics.median(times):.3f} | '
            f'{statistics.median(ratios):.2f} ({min(ratios):.2f} to '
            f'{max(ratios):.2f}) |',
            flush=True,
        )


def read_args() -> argparse.Namespace:
    parser = make_parser(__doc__, 320, batch=4)
    parser.add_argument('--only', choices=[*STEPS, PATHS])
    return parser.parse_args()


def main() -> None:
    args = read_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    clock = Clock(args.device, processor=not args.device.startswith('cuda'))
    size = (args.batch, args.crop, args.device)
    if args.only == PATHS:
        print_table(PATHS, dense_paths(*size), args.repeats, clock)
        return
    batch = make_batch(args.batch, args.crop, 21)
    steps = {
        name: partial(step, build(path, args.device), batch)
        for name, path in STEPS.items()
        if args.only in (None, name)
    }
    print(
        f'{args.batch} crops of {args.crop} x {args.crop}, {args.device}, '
        f'{args.threads} threads'
    )
    print_table('training step', steps, args.repeats, clock)
    if args.only:
        print(f'\n{peak_bytes(args.device) / 2**30:.2f} GiB')
        return
    del steps
    ways = operations(*size)
    print_table('on class maps', ways, args.repeats, clock)
    print_table(PATHS, dense_paths(*size), args.repeats, clock)


if __name__ == '__main__':
    main()
