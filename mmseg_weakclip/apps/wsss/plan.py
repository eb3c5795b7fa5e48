"""The plan of a run: what each stage does, and how much it writes."""

import math
from collections.abc import Sequence

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.models.clip.local_models import local_tags

from .backbone import uses_clip
from .options import CLASSIFIERS
from .run import Run
from .stages import Stage, training_iterations

# Measured on VOC's photos: masks, and the stored class map of one class.
BYTES_PER_MASK_PIXEL, BYTES_PER_MAP_PIXEL = 0.03, 0.14
# Least space of a file.
BLOCK = 4096
CHECKPOINTS, CHECKPOINT_BYTES = 3, 700 * 2**20
SMALL_CHECKPOINT_BYTES = 170 * 2**20
# Segmenters whose checkpoints are no larger, and those made for a CPU.
SMALL = ('dinov2-s', 'fpn_small', 'lite0_fpn')
FOR_CPU = ('fpn_small', 'lite0_fpn')


def describe_plan(run: Run, stages: Sequence[Stage]) -> list[str]:
    """Return the plan: a line for each stage, and one for the disk space.

    Args:
        run: Run with its images.
        stages: Stages of the run.
    """
    lines = []
    for number, stage in enumerate(stages, 1):
        facts = [text for text in (_work(run, stage), _size(run, stage))
                 if text]  # fmt: skip
        line = f'  {number}. {stage.title:26} {", ".join(facts)}'
        lines.append(line.rstrip())
    total = sum(stage_bytes(run, stage) for stage in stages)
    lines.append(f'  on disk: about {format_size(total)}')
    return [*lines, *_advise(run)]


def _advise(run: Run) -> list[str]:
    """Return what would make a run on the CPU faster."""
    options = run.options
    if run.gpus or options.clip is None and run.profile.clip is not None:
        return []
    with_clip = uses_clip(options)
    if options.clip is not None and local_tags(options.clip):
        return []
    advice = ['a GPU']
    maps_of_clip = with_clip and options.method not in CLASSIFIERS
    if maps_of_clip and options.clip_size is None:
        advice.append('--clip-size 224')
    if options.segmenter not in FOR_CPU:
        advice.append('--segmenter fpn_small')
    if options.segmenter_size is None:
        advice.append('--segmenter-size 256')
    if options.iterations is None:
        advice.append('--iterations 1000')
    return [f'  on the CPU this takes long; faster: {", ".join(advice)}']


def _work(run: Run, stage: Stage) -> str:
    if stage.kind == 'train':
        steps = count(training_iterations(run, stage), 'iteration')
        return f'{steps} over {count(run.number("train"), "image")}'
    if stage.kind == 'data' or stage.name in ('predict', 'results'):
        return count(len(run.images), 'image')
    if stage.kind in ('test', 'refine', 'import', 'join'):
        return count(run.number('train', 'val'), 'image')
    if stage.kind == 'tags':
        return 'by tags that it has not seen'
    if stage.kind == 'score':
        scored = sum(image.truth is not None for image in run.images)
        return count(scored, 'image') if scored else 'no masks, nothing to do'
    return ''


def _size(run: Run, stage: Stage) -> str:
    size = stage_bytes(run, stage)
    return format_size(size) if size else ''


def stage_bytes(run: Run, stage: Stage) -> int:
    """Return roughly how many bytes a stage writes."""
    if stage.kind == 'train':
        small = run.options.segmenter in SMALL
        size = SMALL_CHECKPOINT_BYTES if small else CHECKPOINT_BYTES
        return CHECKPOINTS * size
    if stage.kind == 'data':
        large = sum(image.size != image.original_size for image in run.images)
        return int(large * run.options.max_side**2 * 0.4)
    labelled = [image for image in run.images if image.labels]
    if stage.kind == 'results':
        return sum(
            _mask_bytes(images, original=True)
            for images in (labelled, run.images)
        )
    if stage.kind not in ('test', 'refine', 'import', 'join'):
        return 0
    if stage.name == 'predict':
        return _mask_bytes(run.images)
    size = _mask_bytes(labelled)
    if stage.name == 'seeds' and stage.kind == 'test':
        size += sum(
            max(
                BLOCK,
                round(BYTES_PER_MAP_PIXEL * math.prod(image.size)
                      * len(image.labels)),
            )
            for image in labelled
        )  # fmt: skip
    return size


def _mask_bytes(images: Sequence[RunImage], *, original: bool = False) -> int:
    """Return roughly the bytes of masks.

    Args:
        images: Images of the masks.
        original: Whether the masks have the size of the user's images.
            Enlarged masks have longer outlines but no finer ones, so that
            files grow with the side, not with the area.
    """
    total = 0.0
    for image in images:
        size = BYTES_PER_MASK_PIXEL * math.prod(image.size)
        if original:
            size *= max(image.original_size) / max(image.size)
        total += max(BLOCK, size)
    return round(total)


def format_size(size: int) -> str:
    """Return a number of bytes in MiB or GiB."""
    if size >= 2**30:
        return f'{size / 2**30:.1f} GiB'
    return f'{max(1, round(size / 2**20))} MiB'
