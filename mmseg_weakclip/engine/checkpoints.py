"""Checkpoints that are either whole or not there."""

import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.runner import find_latest_checkpoint

from mmseg_weakclip.common.files import write_atomically


@register_backend('whole')
class WholeFileBackend(LocalBackend):
    """mmengine's local files, written under their name only when complete.

    For ``default_hooks.checkpoint.backend_args=dict(backend='whole')``: a
    process that is killed while it saves leaves no half of a checkpoint.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; see ``LocalBackend.put``."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(filepath, obj)


def find_whole_checkpoint(work_dir: str | Path) -> str | None:
    """The checkpoint from which a training can go on.

    It is the one that mmengine noted, if it is whole; a process killed at
    the wrong moment may leave a note of nothing, or half of a file.
    Otherwise the newest whole one of ``iter_*.pth`` and ``epoch_*.pth``.

    Args:
        work_dir: Of the training.

    Returns:
        Its path; None if there is none.
    """
    noted = find_latest_checkpoint(str(work_dir))
    if noted and is_whole(noted):
        return noted
    others = [
        path
        for pattern in ('iter_*.pth', 'epoch_*.pth')
        for path in Path(work_dir).glob(pattern)
        if is_whole(path)
    ]
    newest = max(others, key=lambda p: p.stat().st_mtime, default=None)
    if noted is not None:
        print_log(
            f'the last checkpoint of {work_dir} ({noted or "no name"}) is '
            f'not whole; going on from {newest or "the beginning"}',
            'current',
            level=30,
        )
    return None if newest is None else str(newest)


def is_whole(path: str | Path) -> bool:
    """Whether a checkpoint of ``torch.save`` was written to its end."""
    return Path(path).is_file() and zipfile.is_zipfile(path)
