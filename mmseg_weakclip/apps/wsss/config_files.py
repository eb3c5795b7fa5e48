"""Configs in the folder of a run, which its user may edit."""

import json
import os
from pathlib import Path

from mmengine.config import Config

from mmseg_weakclip.apps.run_folder.schema import StageRecord
from mmseg_weakclip.common.files import (
    digest_bytes,
    digest_file,
    write_atomically,
)

from .run import Run
from .stages import Stage

CONFIGS = 'configs'


def config_path(run: Run, stage: Stage) -> Path:
    """Where the config of a stage lies."""
    return run.folder / CONFIGS / f'{stage.name}.py'


def write_config(run: Run, stage: Stage, record: StageRecord) -> bool:
    """Write a stage's config, unless the user has edited it.

    Args:
        run: The run.
        stage: A stage with a config.
        record: Where it is noted what was written.

    Returns:
        Whether there is one that the user has edited, which is kept.
    """
    path = config_path(run, stage)
    record.config = f'{CONFIGS}/{stage.name}.py'
    found = digest_file(path)
    if path.is_file() and record.written_config not in (None, found):
        return True
    if stage.config is None:
        raise ValueError(f'the stage {stage.name} has no config')
    text = f'# {stage.title.capitalize()}.\n{usage_comment(stage, path)}\n'
    text += stage.config(run).pretty_text
    content = text.encode()
    record.written_config = digest_bytes(content)
    if record.written_config != found:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, content)
    return False


def usage_comment(stage: Stage, path: Path) -> str:
    """Return the lines of a config that say how to use it by hand."""
    words = {
        'train': f'train {path}',
        'test': f'test {path}'
        + (' CHECKPOINT' if stage.weights else ' --tta'),
        'refine': f'refine SEEDS OUT --config {path}',
    }[stage.kind]
    return (
        f'# By hand: weakclip {words}\n# Edits stay, and are used by --resume.'
    )


def digest_config(path: Path, folder: Path) -> str:
    """A digest of what a config means.

    Args:
        path: The config; its comments and layout do not count.
        folder: Of the run; where it lies does not count, so a run may move.
    """
    settings = Config.fromfile(path).to_dict()
    text = json.dumps(settings, sort_keys=True, default=str)
    place = json.dumps(f'{folder}{os.sep}').strip('"')
    return digest_bytes(text.replace(place, '').encode())
