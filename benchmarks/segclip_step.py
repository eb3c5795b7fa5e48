"""What a training step of SegCLIP costs, beside one of plain CLIP.

    python benchmarks/segclip_step.py --batch 32 --threads 2

Plain CLIP is open_clip's model with the same towers, the same parts of them
frozen, and the same contrast of images and captions. SegCLIP is that with
groups, then with the loss of superpixels, then with the reconstruction of
hidden patches; the last row is what that branch adds. Every step takes random
images and captions, normalises and tokenises them (captions to the length of
the longest, in both), and ends with AdamW; weights are random, too.

All kinds of steps run in turns in one process; seconds are medians, ratios
are of steps of one turn (median, and range in brackets). The peak memory is
of a process with two steps of one kind and nothing else.
"""

import argparse
import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import open_clip
import torch
from common import (
    PRECISIONS,
    Clock,
    PrecisionWrapper,
    make_batch,
    make_parser,
    peak_bytes,
)
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import nn

import mmseg_weakclip  # noqa: F401  (registers every class)
from mmseg_weakclip.common.workers import worker_context

CONFIG = Path(__file__).parents[1] / 'configs/_base_/models'
CONFIG /= 'segclip_vit-b16.py'
PLAIN = 'plain CLIP'
# SegCLIP's losses, one more each time.
STEPS = {
    'SegCLIP: captions': (),
    '+ superpixels': ('superpixel',),
    '+ reconstruction': ('superpixel', 'reconstruction'),
}
BRANCH = 'reconstruction alone'
WORDS = (
    'boat car dog tree house fish bird grass water sky road wall red small '
    'old white two people near under with on the a'
)


def make_captioned(batch: int, crop: int) -> dict:
    """Images with a caption of 8 to 20 words, and superpixels of 16 x 16."""
    data = make_batch(batch, crop, num_classes=21)
    rng = random.Random(0)
    side = -(-crop // 16)
    ids = torch.arange(side * side).view(side, side)
    ids = ids.repeat_interleave(16, 0).repeat_interleave(16, 1)
    # Off the grid of patches, so that they straddle.
    ids = ids.roll((5, 7), (0, 1))[None, :crop, :crop]
    for sample in data['data_samples']:
        words = rng.choices(WORDS.split(), k=rng.randint(8, 20))
        sample.set_metainfo(dict(caption=' '.join(words)))
        sample.superpixels = PixelData(data=ids)
    return data


def load_config(args: argparse.Namespace) -> Config:
    """SegCLIP with all its losses, for any CLIP with a plain ViT."""
    vision = open_clip.get_model_config(args.model)['vision_cfg']
    clip = dict(model=args.model, pretrained=None)
    width, depth = vision['width'], vision['layers']
    cfg = Config.fromfile(CONFIG)
    cfg.model.data_preprocessor.size = (args.crop, args.crop)
    cfg.model.backbone.update(
        clip, group_after=depth - 2, out_indices=(depth - 3,)
    )
    cfg.model.backbone.group.channels = width
    cfg.model.decode_head.text.update(clip)
    cfg.model.decode_head.update(
        contrastive=dict(type='ImageTextContrastiveLoss'),
        superpixel=dict(type='SuperpixelKLLoss'),
    )
    cfg.model.auxiliary_head = dict(
        type='MaskedReconstructionHead',
        channels=width,
        patch_size=vision['patch_size'],
    )
    return cfg.model


def make_optimizer(
    model: nn.Module, args: argparse.Namespace, precision: str
) -> PrecisionWrapper:
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)
    return PrecisionWrapper(optimizer, args.device, precision)


def plain_step(args: argparse.Namespace, precision: str) -> Callable:
    """A step of CLIP alone."""
    cfg = load_config(args)
    batch = make_captioned(args.batch, args.crop)
    captions = [sample.caption for sample in batch['data_samples']]
    tokenizer = open_clip.get_tokenizer(args.model)
    # Start and end.
    length = 2 + max(len(tokenizer.encode(caption)) for caption in captions)
    clip = open_clip.create_model(
        args.model, force_image_size=args.crop, force_context_length=length
    )
    frozen = (
        *(f'visual.{name}' for name in cfg.backbone.frozen),
        *cfg.decode_head.text.frozen,
    )
    for name, parameter in clip.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)
    clip = clip.to(args.device).train()
    preprocess = MODELS.build(cfg.data_preprocessor).to(args.device)
    contrast = MODELS.build(cfg.decode_head.contrastive)
    wrapper = make_optimizer(clip, args, precision)

    def step() -> None:
        images = preprocess(batch, True)['inputs']
        tokens = tokenizer(captions, context_length=length).to(args.device)
        with wrapper.precision():
            loss = contrast(
                clip.encode_image(images),
                clip.encode_text(tokens),
                clip.logit_scale.exp(),
            )
        wrapper.update_params(loss)

    return step


def segclip_steps(
    args: argparse.Namespace, precision: str, kinds: list[str]
) -> dict[str, Callable]:
    """Steps of one SegCLIP, with all parts that these kinds need."""
    cfg = load_config(args)
    needed = {part for kind in kinds for part in STEPS[kind]}
    if 'superpixel' not in needed:
        cfg.decode_head.superpixel = None
    if 'reconstruction' not in needed:
        cfg.auxiliary_head = None
    model = MODELS.build(cfg).to(args.device).train()
    head = model.decode_head
    superpixel = head.superpixel
    branch = getattr(model, 'auxiliary_head', None)
    batch = make_captioned(args.batch, args.crop)
    wrapper = make_optimizer(model, args, precision)

    def step(parts: tuple[str, ...]) -> None:
        head.superpixel = superpixel if 'superpixel' in parts else None
        model.auxiliary_head = branch if 'reconstruction' in parts else None
        model.train_step(batch, wrapper)

    return {kind: partial(step, STEPS[kind]) for kind in kinds}


def make_steps(
    args: argparse.Namespace, precision: str, kinds: list[str]
) -> dict[str, Callable]:
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    ours = [kind for kind in kinds if kind in STEPS]
    steps = {}
    if PLAIN in kinds:
        steps[PLAIN] = plain_step(args, precision)
    if ours:
        steps.update(segclip_steps(args, precision, ours))
    return steps


def measure_memory(
    args: argparse.Namespace, precision: str, kind: str
) -> float:
    """Peak of two steps in GiB: the second has the optimiser's state."""
    (step,) = make_steps(args, precision, [kind]).values()
    step()
    step()
    return peak_bytes(args.device) / 2**30


def measure_seconds(
    args: argparse.Namespace, precision: str
) -> dict[str, list[float]]:
    """Seconds of each repeat, by kind of step; all kinds in turns."""
    steps = make_steps(args, precision, [PLAIN, *STEPS])
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    clock = Clock(args.device)
    for _ in range(args.repeats + 1):
        for kind, step in steps.items():
            clock()
            step()
            seconds[kind].append(clock())
    return {kind: times[1:] for kind, times in seconds.items()}


def print_rows(
    precision: str, seconds: dict[str, list[float]], peaks: dict[str, float]
) -> None:
    *_, without, whole = STEPS
    seconds[BRANCH] = [b - a for a, b in zip(seconds[without], seconds[whole])]
    peaks[BRANCH] = peaks[whole] - peaks[without]
    for kind, times in seconds.items():
        ratios = [own / plain for own, plain in zip(times, seconds[PLAIN])]
        spread = f'{min(ratios):.2f} to {max(ratios):.2f}'
        print(
            f'| {precision} | {kind} | {statistics.median(times):.3f} '
            f'| {statistics.median(ratios):.2f} ({spread}) '
            f'| {peaks[kind]:.2f} |',
            flush=True,
        )


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, crop=224, batch=32)
    parser.add_argument(
        '--model', default='ViT-B-16-quickgelu', help="open_clip's name"
    )
    parser.add_argument(
        '--precisions', nargs='+', default=['fp32'], choices=PRECISIONS
    )
    parser.set_defaults(device='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(
        f'{args.model}, crop {args.crop}, batch {args.batch}, {args.device}, '
        f'{args.threads} threads; median seconds of {args.repeats} steps.\n'
    )
    print('| precision | step | seconds | of plain CLIP | peak GiB |')
    print('|---|---|---|---|---|')
    # Each process has its own peak; the imports are done once.
    context = worker_context('mmseg_weakclip.parts')

    def apart(function: Callable, *arguments):
        with context.Pool(1) as pool:
            return pool.apply(function, (args, *arguments))

    for precision in args.precisions:
        peaks = {
            kind: apart(measure_memory, precision, kind)
            for kind in (PLAIN, *STEPS)
        }
        seconds = apart(measure_seconds, precision)
        print_rows(precision, seconds, peaks)


if __name__ == '__main__':
    main()
