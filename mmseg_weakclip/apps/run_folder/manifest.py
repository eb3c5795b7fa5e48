"""What a run has done so far, on the disk."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.errors import WrongUse
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.apps.wsss.stages import Stage
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.version import __version__

MANIFEST = 'manifest.json'
VERSION = 1
PACKAGES = (
    'torch', 'mmengine', 'onedl-mmengine', 'mmcv', 'onedl-mmcv',
    'mmsegmentation', 'onedl-mmsegmentation', 'open_clip_torch', 'numpy',
)  # fmt: skip


@dataclass
class StageRecord:
    """What is known of a stage.

    Attributes:
        name, title, folder, config: See :class:`Stage`.
        state: ``'waiting'``, ``'running'``, ``'finished'`` or ``'failed'``.
        command: How it was called.
        inputs: Digest of each thing that it read.
        output: Digest of what it wrote.
        started: ISO time of its last start.
        seconds: That it took, all starts together.
        peak_memory_gib: Of its largest process.
        peak_gpu_gib: As its log says, if it used a GPU.
        written_config: Digest of the config as the run wrote it.
    """

    name: str
    title: str
    folder: str | None = None
    config: str | None = None
    state: str = 'waiting'
    command: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    started: str | None = None
    seconds: float | None = None
    peak_memory_gib: float | None = None
    peak_gpu_gib: float | None = None
    written_config: str | None = None


class Manifest:
    """The file of a run's options and of its stages' records.

    Args:
        folder: Of the run.
        options: What the user asks for.
        stages: Records, in order.
    """

    def __init__(
        self, folder: Path, options: Options, stages: Sequence[StageRecord]
    ) -> None:
        self.folder = folder
        self.options = options
        self.stages = {record.name: record for record in stages}

    @classmethod
    def load(cls, folder: Path) -> 'Manifest | None':
        """The manifest of a folder; None if it holds no run.

        Raises:
            WrongUse: The file is of another version, or damaged.
        """
        path = folder / MANIFEST
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if content['version'] != VERSION:
                raise WrongUse(
                    f'{path} has version {content["version"]}, this is '
                    f'{VERSION}; choose another --work-dir'
                )
            return cls(
                folder,
                Options.from_json(content['options']),
                [StageRecord(**stage) for stage in content['stages']],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise WrongUse(
                f'{path} is damaged ({error}); remove it to begin anew'
            ) from error

    def match(self, stages: Sequence[Stage]) -> None:
        """Have records of just these stages, known ones kept."""
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
        content: dict[str, Any] = dict(
            version=VERSION,
            options=self.options.to_json(),
            notes=list(self.options.notes),
            versions=versions(),
            stages=[asdict(record) for record in self.stages.values()],
        )
        text = json.dumps(content, ensure_ascii=False, indent=1)
        write_atomically(self.folder / MANIFEST, text.encode())

    def begin(self, record: StageRecord, inputs: dict[str, str]) -> None:
        """Note that a stage starts, with what it reads."""
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
            record: Its record.
            state: ``'finished'``, ``'failed'`` or ``'waiting'`` (stopped).
            start: ``time.monotonic()`` of its start.
            output: Digest of what it wrote.
        """
        record.state, record.output = state, output
        elapsed = time.monotonic() - start
        record.seconds = round((record.seconds or 0) + elapsed, 1)
        self.save()


def versions() -> dict[str, str]:
    """Versions of what a run depends on."""
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
