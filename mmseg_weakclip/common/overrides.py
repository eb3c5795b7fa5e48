"""Settings of a config that a user overrides by ``--cfg-options``.

mmengine merges them after the config was computed, so that a helper of the
config, such as ``clip = dict(...)`` whose values were copied into the model,
can be overridden without any effect. Here that is an error.
"""

import argparse
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, DictAction

# What runners and tools read of a config.
READ = {
    'activation_checkpointing', 'auto_scale_lr', 'background_extractor',
    'compile', 'custom_hooks', 'custom_imports', 'data_preprocessor',
    'default_hooks', 'default_scope', 'efficient_conv_bn_eval', 'env_cfg',
    'experiment_name', 'find_unused_parameters', 'launcher', 'load_from',
    'log_level', 'log_processor', 'model', 'model_wrapper_cfg',
    'optim_wrapper', 'param_scheduler', 'protocol', 'randomness', 'refine',
    'resume',
    'runner_type', 'test_cfg', 'test_dataloader', 'test_evaluator',
    'train_cfg', 'train_dataloader', 'tta_model', 'tta_pipeline', 'val_cfg',
    'val_dataloader', 'val_evaluator', 'visualizer', 'work_dir',
}  # fmt: skip
# Settings that a message names.
SHOWN = 6


def add_override_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` to a parser."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings, such as optim_wrapper.optimizer.lr=1e-4 or '
        'key="[a,b]"',
    )


def override(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Override settings of a config.

    Args:
        cfg: Config to change.
        options: Values by dotted key, as ``DictAction`` parses them.

    Raises:
        ValueError: A key is read by nothing; the message names those that
            would work.
    """
    if not options:
        return
    for key in options:
        _check_is_read(cfg, key)
    cfg.merge_from_dict(dict(options))


def _check_is_read(cfg: Config, key: str) -> None:
    head, *rest = key.split('.')
    if head in READ:
        return
    content = cfg.to_dict()
    if head not in content:
        close = difflib.get_close_matches(head, READ, 3)
        hint = f'; did you mean {", ".join(close)}?' if close else ''
        raise ValueError(f'--cfg-options {key}: nothing reads {head!r}{hint}')
    places = list(dict.fromkeys(_copies(content, head, rest)))
    if places:
        more = ', ...' if len(places) > SHOWN else ''
        cure = f'override {", ".join(places[:SHOWN])}{more}'
    else:
        cure = 'override what was made from it, or edit the config'
    raise ValueError(
        f'--cfg-options {key}: {head!r} is a helper of the config, whose '
        f'values were copied when it was read, so this changes nothing; {cure}'
    )


def _copies(
    content: dict[str, Any], head: str, rest: list[str]
) -> Iterator[str]:
    """Yield the keys that hold a copy of a helper's value."""
    old = content[head]
    for part in rest:
        try:
            old = (
                old[int(part)] if isinstance(old, (list, tuple)) else old[part]
            )
        except (KeyError, IndexError, ValueError, TypeError):
            return
    tail = ''.join(f'.{part}' for part in rest)
    for place, value in _walk(content):
        if isinstance(value, (dict, list, tuple)) and value == content[head]:
            yield place + tail
    name = rest[-1] if rest else head
    for place, value in _walk(content):
        if place.rpartition('.')[2] == name and value == old:
            yield place


def _walk(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything that is read."""
    stack = [(key, content[key]) for key in sorted(READ & content.keys())]
    while stack:
        place, value = stack.pop(0)
        yield place, value
        if isinstance(value, dict):
            stack += [(f'{place}.{key}', item) for key, item in value.items()]
        elif isinstance(value, (list, tuple)):
            stack += [(f'{place}.{i}', item) for i, item in enumerate(value)]
