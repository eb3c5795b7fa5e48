"""The manifest of a run: its options and the records of its stages."""

import platform
import time
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import (
    MANIFEST,
    RunError,
    StageRecord,
)
from mmseg_weakclip.apps.run_folder.store import read_manifest, write_manifest
from mmseg_weakclip.version import __version__

from .options import Options
from .stages import Stage

PACKAGES = (
    'torch', 'mmengine', 'onedl-mmengine', 'mmcv', 'onedl-mmcv',
    'mmsegmentation', 'onedl-mmsegmentation', 'open_clip_torch', 'numpy',
)  # fmt: skip


class Manifest:
    """The file of a run's options and of its stages' records.

    Args:
        folder: Folder of the run.
        options: Options of the user.
        stages: Records of the stages, in order.
    """

    def __init__(
        self, folder: Path, options: Options, stages: Sequence[StageRecord]
    ) -> None:
        self.folder = folder
        self.options = options
        self.stages = {record.name: record for record in stages}

    @classmethod
    def load(cls, folder: Path) -> 'Manifest | None':
        """Return the manifest of a folder; None if it holds no run.

        Raises:
            UserError: The file is of another version, or damaged.
        """
        if not (folder / MANIFEST).is_file():
            return None
        try:
            content = read_manifest(folder)
            options = Options.from_json(content['options'])
        except (RunError, TypeError) as error:
            raise UserError(
                f'{error}; choose another --work-dir, or remove '
                f'{folder / MANIFEST} to begin anew'
            ) from error
        return cls(folder, options, content['stages'])

    def has_begun_beyond(self, name: str) -> bool:
        """Return whether another stage than this one has begun."""
        return any(
            record.started is not None
            for record in self.stages.values()
            if record.name != name
        )

    def match(self, stages: Sequence[Stage]) -> None:
        """Limit the records to these stages, and add missing ones."""
        records = {}
        for stage in stages:
            record = self.stages.get(stage.name)
            if record is None:
                record = StageRecord(stage.name, stage.title)
            record.title = stage.title
            record.folder = stage.folder or None
            records[stage.name] = record
        self.stages = records

    def save(self) -> None:
        """Write the file."""
        write_manifest(
            self.folder,
            self.options.to_json(),
            self.options.notes,
            versions(),
            list(self.stages.values()),
        )

    def begin(self, record: StageRecord, inputs: dict[str, str]) -> None:
        """Note that a stage starts, with the digests of what it reads."""
        if record.inputs != inputs:
            record.seconds = None
            record.peak_memory_gib = record.peak_gpu_gib = None
        record.state, record.inputs = 'running', inputs
        record.output = None
        record.started = datetime.now().astimezone().isoformat('T', 'seconds')
        self.save()

    def end(
        self, record: StageRecord, state: str, start: float, output: str | None
    ) -> None:
        """Note how a stage ended.

        Args:
            record: Record of the stage.
            state: ``'finished'``, ``'failed'`` or ``'waiting'`` (stopped).
            start: ``time.monotonic()`` at the stage's start.
            output: Digest of the stage's output.
        """
        record.state, record.output = state, output
        elapsed = time.monotonic() - start
        record.seconds = round((record.seconds or 0) + elapsed, 1)
        self.save()


def versions() -> dict[str, str]:
    """Return the versions of Python and the packages of a run."""
    found = {
        'mmseg_weakclip': __version__,
        'python': platform.python_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
