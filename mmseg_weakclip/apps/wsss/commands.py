"""How the commands of the stages are called."""

import socket
import sys
from pathlib import Path

from .config_files import config_path
from .run import Run
from .stages import Stage, checkpoint_name

# Views are averaged where CLIP makes maps; the segmenter sees images once.
SINGLE_VIEW = ('predict',)
WEAKCLIP = (sys.executable, '-m', 'mmseg_weakclip')


def stage_command(
    run: Run, stage: Stage, stages: dict[str, Stage]
) -> list[str]:
    """Return the command of a stage.

    Args:
        run: The run.
        stage: The stage.
        stages: All stages by name.
    """
    if stage.kind == 'report':
        return [*WEAKCLIP, 'report', str(run.folder)]
    config = str(config_path(run, stage))
    if stage.kind == 'refine':
        return [
            *WEAKCLIP,
            'refine',
            str(run.folder / stage.source),
            str(run.folder / stage.folder),
            '--config',
            config,
            '--workers',
            str(max(1, run.workers)),
        ]
    words = ['train' if stage.kind == 'train' else 'test', config]
    if stage.weights:
        name = checkpoint_name(run, stages[stage.weights])
        words.append(str(run.folder / name))
    if stage.kind == 'train':
        words.append('--resume')
        if run.options.amp:
            words.append('--amp')
    else:
        words += ['--work-dir', str(run.folder / 'tests' / stage.name)]
        if stage.name not in SINGLE_VIEW:
            words.append('--tta')
    if run.gpus > 1:
        return [
            *(sys.executable, '-m', 'torch.distributed.run'),
            *('--nproc_per_node', str(run.gpus)),
            *('--master_port', str(_free_port())),
            *('-m', 'mmseg_weakclip'),
            *words,
            *('--launcher', 'pytorch'),
        ]
    return [*WEAKCLIP, *words]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def outputs_exist(run: Run, stage: Stage) -> bool:
    """Return whether what a stage leaves is there at all."""
    if stage.kind == 'train':
        return (run.folder / checkpoint_name(run, stage)).is_file()
    if stage.kind in ('test', 'refine'):
        return any(Path(run.folder, stage.folder, 'masks').glob('*.png'))
    return True
