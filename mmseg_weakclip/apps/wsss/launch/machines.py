"""A run's stages on several machines: their script, and what it trained.

``weakclip run --until data`` writes ``configs/machines.sh``, which each
machine calls. ``weakclip run --resume`` then takes over what was done: masks
by the settings in their folder, trainings by :func:`check_training`.
"""

import ast
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.config_files import (
    CONFIGS,
    config_path,
    stage_words,
)
from mmseg_weakclip.apps.wsss.method_configs import TRAIN_LIST
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.apps.wsss.stages import Stage, checkpoint_name
from mmseg_weakclip.common.files import write_atomically

SCRIPT = 'machines.sh'
# How long a machine waits for the others, in seconds: refinements take hours,
# and no machine needs as long as another.
PATIENCE = 7 * 24 * 3600
HEADER = """\
#!/usr/bin/env bash
# The stages of this run that several machines can share, in their order.
# Call it on each machine, NODE_RANK counting from 0:
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 GPUS=8 bash {script}
# Called again, it goes on with what is not done. Then, on one machine:
#   weakclip run --work-dir {folder} --resume
set -euo pipefail
nodes=${{NNODES:-1}} rank=${{NODE_RANK:-0}} port=${{PORT:-29500}}
python=${{PYTHON:-{python}}}
share() {{
    # Another port for each stage: no machine joins one that has ended.
    port=$((port + 1))
    "$python" -m torch.distributed.run \\
        --nnodes="$nodes" --node-rank="$rank" \\
        --master-addr="${{MASTER_ADDR:-127.0.0.1}}" --master-port="$port" \\
        --nproc-per-node="${{GPUS:-{gpus}}}" --rdzv-conf=timeout={patience} \\
        -m mmseg_weakclip "$@" --launcher pytorch
}}
refine() {{
    "$python" -m mmseg_weakclip refine "$@" --shard "$rank/$nodes"
}}
"""
# Lines for a stage of one machine, whose last file the others look for.
WAIT = """
# {title}, which one machine does.
if ! test -f {list}; then
    echo "on one machine first: weakclip run --work-dir" {folder} \\
        "--resume --until {name}; then call this again" >&2
    exit 1
fi
"""
# Settings of a training that a checkpoint must share with its config, and
# those below them that belong to a machine or to a flag.
TRAINED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper',
           'param_scheduler', 'randomness')  # fmt: skip
UNRELATED = {
    'train_dataloader': ('num_workers', 'persistent_workers'),
    'optim_wrapper': ('type', 'loss_scale', 'dtype'),
}


def write_script(run: Run, stages: Sequence[Stage]) -> Path:
    """Write the script of the stages that several machines can share.

    Args:
        run: Run of the stages.
        stages: All stages, in order.

    Returns:
        Its path.
    """
    path = run.folder / CONFIGS / SCRIPT
    text = HEADER.format(
        script=shlex.quote(str(path)),
        folder=shlex.quote(str(run.folder)),
        python=shlex.quote(sys.executable),
        gpus=max(1, run.gpus),
        patience=PATIENCE,
    )
    if not run.gpus:
        text += "export CUDA_VISIBLE_DEVICES=''\n"
    by_name = {stage.name: stage for stage in stages}
    for stage in stages:
        if stage.kind in ('import', 'join'):
            text += WAIT.format(
                title=stage.title.capitalize(),
                name=stage.name,
                list=shlex.quote(str(run.folder / stage.folder / TRAIN_LIST)),
                folder=shlex.quote(str(run.folder)),
            )
        if stage.config is None:
            continue
        words = stage_words(run, stage, by_name)
        if stage.kind != 'refine':
            words = ['share', *words]
        text += f'\n# {stage.title.capitalize()}.\n{shlex.join(words)}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text.encode())
    return path


def check_training(run: Run, stage: Stage, reads: Sequence[Stage]) -> None:
    """Check that a finished training is the one that a run would make.

    Args:
        run: Run of the training.
        stage: Training whose last checkpoint exists.
        reads: Stages whose outputs it was trained on or from.

    Raises:
        UserError: It was trained with other settings, or before what it
            should be trained on was there.
    """
    from mmseg_weakclip.engine.checkpoint_files import read_checkpoint_file
    from mmseg_weakclip.pseudo_masks.store import describe_changes

    path = run.folder / checkpoint_name(run, stage)
    remedy = f'remove {path.parent} to train again'
    written = path.stat().st_mtime
    for source in reads:
        if written < _newest(run, source):
            raise UserError(
                f'{path} is older than {run.folder / source.folder}, which '
                f'it should be trained on; {remedy}'
            )
    try:
        found = parse_settings(read_checkpoint_file(path)['meta']['cfg'])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'{path} does not tell the settings of its training ({error}); '
            f'{remedy}'
        ) from error
    config = config_path(run, stage)
    wanted = Config.fromfile(config).to_dict()
    changes = describe_changes(
        _trained_settings(found, is_half=_is_half(found)),
        _trained_settings(wanted, is_half=run.options.amp or _is_half(wanted)),
    )
    if changes:
        raise UserError(
            f'{path} was not trained with {config} ({changes}); {remedy}'
        )


def _newest(run: Run, stage: Stage) -> float:
    """Return the time of a stage's newest output; 0 without one."""
    if stage.kind == 'train':
        path = run.folder / checkpoint_name(run, stage)
        return path.stat().st_mtime if path.is_file() else 0.0
    masks = Path(run.folder, stage.folder, 'masks').glob('*.png')
    return max((path.stat().st_mtime for path in masks), default=0.0)


def _is_half(settings: dict[str, Any]) -> bool:
    return 'Amp' in settings.get('optim_wrapper', {}).get('type', '')


def _trained_settings(
    settings: dict[str, Any], *, is_half: bool
) -> dict[str, Any]:
    """Return what a training depends on, as JSON values."""
    kept: dict[str, Any] = {'half precision': is_half}
    for name in TRAINED:
        value = settings.get(name)
        if isinstance(value, dict):
            left_out = UNRELATED.get(name, ())
            value = {k: v for k, v in value.items() if k not in left_out}
        kept[name] = value
    return json.loads(json.dumps(kept))


def parse_settings(text: str) -> dict[str, Any]:
    """Return the settings in the text of a config, which is not run.

    Args:
        text: Assignments of numbers, strings, lists, tuples and dicts, as
            mmengine writes them.

    Raises:
        ValueError: The text has something else.
    """
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(f'the config is no Python: {error}') from error
    settings = {}
    for statement in statements:
        match statement:
            case ast.Assign([ast.Name(name)], value):
                settings[name] = _value_of(value)
            case _:
                raise ValueError(f'{ast.unparse(statement)!r} is no setting')
    return settings


def _value_of(node: ast.expr) -> Any:
    match node:
        case ast.Call(ast.Name('dict'), arguments, keywords):
            # Keys that are no names are written as dict({'a.b': 1}).
            parts = [_value_of(argument) for argument in arguments]
            parts += [{str(k.arg): _value_of(k.value)} for k in keywords]
            return {key: v for part in parts for key, v in part.items()}
        case ast.Dict(keys, values):
            return {
                _value_of(key): _value_of(value)
                for key, value in zip(keys, values)
                if key is not None
            }
        case ast.List(items):
            return [_value_of(item) for item in items]
        case ast.Tuple(items):
            return tuple(_value_of(item) for item in items)
    return ast.literal_eval(node)
