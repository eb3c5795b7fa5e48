"""Roughly how long a run takes, and how much it writes.

A matrix product tells how fast the machine is; the maths of each stage is
estimated from the size of its networks and images. The result is right to
about a factor of three, which tells minutes from days.
"""

import time

import open_clip
import torch
from mmengine.device import get_device

from .method_configs import TOY, iterations_of
from .run import Run
from .segmenter_configs import crop_side, load_segmenter, segmenter_iterations
from .stages import Stage

# Multiplications and additions per pixel of an input, forward pass, of an
# ordinary segmenter (DeepLabV3+ on a ResNet-50 at 512 x 512: 0.18 T).
SEGMENTER_FLOPS = 0.7e6
SMALL_SEGMENTER_FLOPS = 0.06e6
CLASSIFIER_FLOPS = 0.3e6
# Of the matrix product's rate that networks reach.
EFFICIENCY = 0.35
# Seconds per pixel and class of a dense CRF, one processor.
CRF_SECONDS = 4e-6
START_SECONDS = 12.0
VIEWS = {'masks': 12, 'clims': 8}
BYTES_PER_MASK_PIXEL = 0.03
CHECKPOINTS, CHECKPOINT_BYTES = 3, 700 * 2**20
SMALL_CHECKPOINT_BYTES = 170 * 2**20


def measure_flops(seconds: float = 0.3) -> float:
    """Floating point operations per second of a large matrix product."""
    device = get_device()
    size = 4096 if device == 'cuda' else 1024
    matrix = torch.rand(size, size, device=device)
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        (matrix @ matrix)[0, 0].item()
        rate = 2 * size**3 / (time.perf_counter() - start)
        best = max(best, rate)
    return best


def clip_flops(name: str, side: float) -> float:
    """Operations of a CLIP's image tower for a square image."""
    vision = open_clip.get_model_config(name)['vision_cfg']
    tokens = (side / vision['patch_size']) ** 2
    width, layers = vision['width'], vision['layers']
    return layers * (24 * tokens * width**2 + 4 * tokens**2 * width)


def estimate_stages(
    run: Run, stages: list[Stage], flops: float
) -> dict[str, tuple[float, int]]:
    """Seconds and bytes of each stage.

    Args:
        run: The run, with its images.
        stages: Its stages.
        flops: See :func:`measure_flops`.
    """
    return {
        stage.name: (_seconds(run, stage, flops), _bytes(run, stage))
        for stage in stages
    }


def _pixels(run: Run) -> float:
    """Of an image, in the mean."""
    sizes = [entry.width * entry.height for entry in run.entries]
    return sum(sizes) / len(sizes)


def _seconds(run: Run, stage: Stage, flops: float) -> float:
    rate = flops * EFFICIENCY * max(1, run.gpus)
    labelled = run.number('train', 'val')
    refine = (
        labelled * _pixels(run) * 3 * CRF_SECONDS / max(1, run.workers)
        if run.options.crf != 'none'
        else 0.0
    )
    name = run.options.clip or 'ViT-B-16-quickgelu'
    side = run.options.clip_size or (96 if name == TOY else 520)
    clip = clip_flops(name, side)
    small = run.options.segmenter == 'fpn_small'
    segmenter = SMALL_SEGMENTER_FLOPS if small else SEGMENTER_FLOPS
    pixels = float(crop_side(run)) ** 2
    match stage.kind, stage.name:
        case 'data', _:
            return len(run.entries) * 0.01 / max(1, run.workers)
        case 'refine', _:
            return START_SECONDS + refine
        case 'train', 'segmenter':
            cfg = load_segmenter(run)
            batch = run.options.batch_size or cfg.train_dataloader.batch_size
            steps = segmenter_iterations(run, cfg)
            work = 3 * steps * batch * pixels * segmenter
            return START_SECONDS + work / rate
        case 'train', name:
            steps = iterations_of(run, name)
            per_image = (
                2.5 * clip
                if name == 'weakclip'
                else 3 * 512**2 * CLASSIFIER_FLOPS + clip
            )
            return START_SECONDS + steps * 8 * per_image / rate
        case 'test', 'predict':
            work = len(run.entries) * pixels * segmenter
            return START_SECONDS + work / rate
        case 'test', _:
            views = VIEWS.get(stage.name, VIEWS.get(stage.weights, 2))
            seconds = labelled * views * clip / rate
            return START_SECONDS + seconds + refine * (stage.name == 'masks')
    return START_SECONDS


def _bytes(run: Run, stage: Stage) -> int:
    pixels = _pixels(run) * len(run.entries)
    masks = BYTES_PER_MASK_PIXEL * pixels + 4096 * len(run.entries)
    if stage.kind == 'train':
        small = run.options.segmenter == 'fpn_small'
        size = SMALL_CHECKPOINT_BYTES if small else CHECKPOINT_BYTES
        return CHECKPOINTS * size
    if stage.kind == 'data':
        large = sum(e.width != e.original_width for e in run.entries)
        return int(large * run.options.max_side**2 * 0.4)
    if stage.name == 'seeds':
        return int(masks + 2 * pixels)
    if stage.kind == 'results':
        return int(2 * masks)
    return int(masks) if stage.kind in ('test', 'refine') else 0


def describe_plan(
    stages: list[Stage], estimates: dict[str, tuple[float, int]]
) -> list[str]:
    """A line for each stage, and the sum."""
    lines = [
        f'  {number}. {stage.title:28} about {_time(estimates[stage.name][0])}'
        f', {_size(estimates[stage.name][1])}'
        for number, stage in enumerate(stages, 1)
    ]
    seconds = sum(value[0] for value in estimates.values())
    size = sum(value[1] for value in estimates.values())
    return [*lines, f'  all: about {_time(seconds)}, {_size(size)} on disk']


def _time(seconds: float) -> str:
    if seconds < 90:
        return f'{max(1, round(seconds))} s'
    if seconds < 5400:
        return f'{round(seconds / 60)} min'
    return f'{seconds / 3600:.1f} h'


def _size(size: int) -> str:
    if size < 2**20:
        return 'little'
    return f'{size / 2**30:.1f} GiB' if size > 2**30 else f'{size >> 20} MiB'
