"""Configs in the folder of a run, and the commands that use them."""

import json
import os
import socket
import sys
from pathlib import Path

from mmengine.config import Config

from mmseg_weakclip.apps.run_folder.schema import TAGS, StageRecord
from mmseg_weakclip.common.files import (
    digest_bytes,
    digest_file,
    write_atomically,
)

from .config_edits import TEST_KEYS
from .run import Run
from .stages import Stage, checkpoint_name

CONFIGS = 'configs'


def config_path(run: Run, stage: Stage) -> Path:
    """Return the path of a stage's config."""
    return run.folder / CONFIGS / f'{stage.name}.py'


def write_config(run: Run, stage: Stage, record: StageRecord) -> bool:
    """Write a stage's config, unless the user has edited it.

    Args:
        run: Run of the stage.
        stage: Stage with a config.
        record: Record of the stage, which gets the config's path and digest.

    Returns:
        Whether the user has edited the config, which is then kept.
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
    """Return the comment of a config on how to use it by hand."""
    words = {
        'train': f'train {path}',
        'test': f'test {path}'
        + (' CHECKPOINT' if stage.weights else ' --tta'),
        'tags': f'test {path} CHECKPOINT',
        'refine': f'refine SEEDS OUT --config {path}',
    }[stage.kind]
    return (
        f'# By hand: weakclip {words}\n# Edits stay, and are used by --resume.'
    )


def digest_config(path: Path, folder: Path, stage: Stage) -> str:
    """Return a digest of a config's settings.

    Args:
        path: File of the config; comments and layout do not count.
        folder: Folder of the run; its path does not count, so that a run
            may be moved.
        stage: Stage of the config; a training does not read how it is tested.
    """
    settings = Config.fromfile(path).to_dict()
    if stage.kind == 'train':
        settings = {k: v for k, v in settings.items() if k not in TEST_KEYS}
    text = json.dumps(settings, sort_keys=True, default=str)
    place = json.dumps(f'{folder}{os.sep}').strip('"')
    return digest_bytes(text.replace(place, '').encode())


# Views are averaged where CLIP makes maps; the segmenter sees images once.
SINGLE_VIEW = ('predict', 'tags')
WEAKCLIP = (sys.executable, '-m', 'mmseg_weakclip')


def stage_command(
    run: Run, stage: Stage, stages: dict[str, Stage]
) -> list[str]:
    """Return the command of a stage on this machine.

    Args:
        run: Run of the stage.
        stage: Stage to run.
        stages: All stages by name.
    """
    words = stage_words(run, stage, stages)
    if stage.kind == 'refine':
        words += ['--workers', str(max(1, run.workers))]
    if stage.kind in ('train', 'test') and run.gpus > 1:
        return [
            *(sys.executable, '-m', 'torch.distributed.run'),
            *('--nproc_per_node', str(run.gpus)),
            *('--master_port', str(_free_port())),
            *('-m', 'mmseg_weakclip'),
            *words,
            *('--launcher', 'pytorch'),
        ]
    return [*WEAKCLIP, *words]


def stage_words(run: Run, stage: Stage, stages: dict[str, Stage]) -> list[str]:
    """Return the words after ``weakclip`` of a stage's command.

    Args:
        run: Run of the stage.
        stage: Stage to run.
        stages: All stages by name.
    """
    if stage.kind == 'report':
        return ['report', str(run.folder)]
    config = str(config_path(run, stage))
    if stage.kind == 'refine':
        source, out = run.folder / stage.source, run.folder / stage.folder
        return ['refine', str(source), str(out), '--config', config]
    words = ['train' if stage.kind == 'train' else 'test', config]
    if stage.weights:
        name = checkpoint_name(run, stages[stage.weights])
        words.append(str(run.folder / name))
    if stage.kind == 'train':
        words.append('--resume')
    else:
        words += ['--work-dir', str(run.folder / 'tests' / stage.name)]
        if stage.name not in SINGLE_VIEW:
            words.append('--tta')
    if run.options.amp:
        words.append('--amp')
    return words


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def outputs_exist(run: Run, stage: Stage) -> bool:
    """Return whether the outputs of a stage exist.

    Masks must be there for all images with labels. An image of which another
    tool has none gets one without classes, so these are as many.
    """
    if stage.kind == 'train':
        return (run.folder / checkpoint_name(run, stage)).is_file()
    if stage.kind in ('test', 'refine', 'import', 'join'):
        masks = Path(run.folder, stage.folder, 'masks').glob('*.png')
        found = {path.stem for path in masks}
        wanted = {image.id for image in run.images if image.labels}
        return bool(found) and found >= wanted
    if stage.kind == 'tags':
        return (run.folder / TAGS).is_file()
    return True
