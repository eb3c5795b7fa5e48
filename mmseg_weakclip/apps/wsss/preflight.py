"""What a run is going to do, and whether the machine is up to it."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.common.workers import may_have_gpus

from .run import Run
from .stages import Stage, training_iterations

# Left free on the disk beside what the run is expected to write, in bytes.
RESERVE = 200 * 2**20


def choose_gpus(asked: int | None) -> int:
    """Number of GPUs that the stages use; 0 is the CPU.

    Args:
        asked: By the user; None takes one where there is one.

    Raises:
        UserError: There are not so many.
    """
    if asked == 0 or asked is None and not may_have_gpus():
        return 0
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is None:
        return min(1, there)
    if asked < 0:
        raise UserError(f'--gpus {asked} is negative')
    if asked > there:
        raise UserError(
            f'--gpus {asked}, but this machine has {there}'
            + ('' if there else ' (leave --gpus out to run on the CPU)')
        )
    return asked


def choose_workers() -> int:
    """Processes for loading and refinement: the processors we may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_folder(folder: Path) -> None:
    """Make the folder of a run, and see that it can be written.

    Raises:
        UserError: It can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'x')
    except OSError as error:
        raise UserError(
            f'--work-dir {folder} can not be written: {error.strerror}'
        ) from error


def check_disk(folder: Path, needed: int) -> None:
    """See that a run fits on the disk.

    Args:
        folder: Of the run, or the next one above that exists.
        needed: Bytes that it is expected to write.

    Raises:
        UserError: It does not fit.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise UserError(
            f'{folder} has {free / 2**30:.1f} GiB left, the run needs about '
            f'{(needed + RESERVE) / 2**30:.1f}; free some, or choose a '
            '--work-dir elsewhere'
        )


BYTES_PER_MASK_PIXEL = 0.03
CHECKPOINTS, CHECKPOINT_BYTES = 3, 700 * 2**20
SMALL_CHECKPOINT_BYTES = 170 * 2**20


def describe_plan(run: Run, stages: Sequence[Stage]) -> list[str]:
    """Return a line for each stage, and one for the sum of bytes.

    Args:
        run: The run, with its images.
        stages: Its stages.
    """
    lines = []
    for number, stage in enumerate(stages, 1):
        facts = [text for text in (_work(run, stage), _size(run, stage))
                 if text]  # fmt: skip
        lines.append(f'  {number}. {stage.title:26} {", ".join(facts)}')
    total = sum(stage_bytes(run, stage) for stage in stages)
    return [*lines, f'  on disk: about {format_size(total)}']


def _work(run: Run, stage: Stage) -> str:
    if stage.kind == 'train':
        steps = count(training_iterations(run, stage), 'iteration')
        return f'{steps} over {count(run.number("train"), "image")}'
    if stage.kind == 'data' or stage.name in ('predict', 'results'):
        return count(len(run.images), 'image')
    if stage.kind in ('test', 'refine'):
        return count(run.number('train', 'val'), 'image')
    if stage.kind == 'score':
        scored = sum(image.truth is not None for image in run.images)
        return count(scored, 'image')
    return ''


def _size(run: Run, stage: Stage) -> str:
    size = stage_bytes(run, stage)
    return format_size(size) if size else ''


def stage_bytes(run: Run, stage: Stage) -> int:
    """Return roughly how many bytes a stage writes."""
    pixels = sum(image.size[0] * image.size[1] for image in run.images)
    masks = BYTES_PER_MASK_PIXEL * pixels + 4096 * len(run.images)
    if stage.kind == 'train':
        small = run.options.segmenter == 'fpn_small'
        size = SMALL_CHECKPOINT_BYTES if small else CHECKPOINT_BYTES
        return CHECKPOINTS * size
    if stage.kind == 'data':
        large = sum(image.size != image.original_size for image in run.images)
        return int(large * run.options.max_side**2 * 0.4)
    if stage.name == 'seeds':
        return int(masks + 2 * pixels)
    if stage.kind == 'results':
        return int(2 * masks)
    return int(masks) if stage.kind in ('test', 'refine') else 0


def format_size(size: int) -> str:
    """Return a number of bytes in MiB or GiB."""
    if size >= 2**30:
        return f'{size / 2**30:.1f} GiB'
    return f'{max(1, round(size / 2**20))} MiB'
