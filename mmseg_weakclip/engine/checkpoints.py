"""Checkpoints that are written completely or not at all."""

import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.runner import find_latest_checkpoint

from mmseg_weakclip.common.files import write_atomically


@register_backend('whole')
class WholeFileBackend(LocalBackend):
    """mmengine's local files, written atomically.

    Use it as ``default_hooks.checkpoint.backend_args=dict(backend='whole')``:
    a process that is killed while it saves leaves no partial checkpoint.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; see ``LocalBackend.put``."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(filepath, obj)


def find_whole_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint from which a training can be resumed.

    It is the last one that mmengine recorded, if it is complete; a process
    that is killed may leave an empty record or a partial file. Otherwise it
    is the newest complete one of ``iter_*.pth`` and ``epoch_*.pth``.

    Args:
        work_dir: Working folder of the training.

    Returns:
        Path of the checkpoint; None if there is none.
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
    """Return whether a checkpoint of ``torch.save`` is complete."""
    return Path(path).is_file() and zipfile.is_zipfile(path)
