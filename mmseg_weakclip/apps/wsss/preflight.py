"""Checks of the machine before a run begins."""

import os
import shutil
import tempfile
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.common.workers import may_have_gpus

# Bytes to leave free on the disk besides what the run is expected to write.
RESERVE = 200 * 2**20


def choose_gpus(asked: int | None) -> int:
    """Return the number of GPUs that the stages use; 0 is the CPU.

    Args:
        asked: Number that the user asks for; None takes one if there is one.

    Raises:
        UserError: The machine has fewer GPUs.
    """
    if asked == 0 or asked is None and not may_have_gpus():
        return 0
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is None:
        return min(1, there)
    if asked < 0:
        raise UserError(f'--gpus {asked} is negative; give 0 or more')
    if asked > there:
        raise UserError(
            f'--gpus {asked}, but this machine has {there}'
            + ('' if there else ' (leave --gpus out to run on the CPU)')
        )
    return asked


def choose_workers() -> int:
    """Return the number of workers: the processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_folder(folder: Path) -> None:
    """Make the folder of a run, and check that it can be written.

    Raises:
        UserError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'x')
    except OSError as error:
        raise UserError(
            f'--work-dir {folder} cannot be written: {error.strerror}'
        ) from error


def check_disk(folder: Path, needed: int) -> None:
    """Check that a run fits on the disk.

    Args:
        folder: Folder of the run, or the nearest existing one above it.
        needed: Number of bytes that the run is expected to write.

    Raises:
        UserError: The disk has too little free space.
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
