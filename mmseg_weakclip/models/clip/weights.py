"""Build CLIP models by open_clip's names and load their weights.

open_clip builds the model; ``weight_sources`` finds its weights and
``weight_files`` reads them without running code from them. This module checks
that the two fit each other.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import open_clip
from mmengine.logging import print_log
from open_clip import hf_model
from open_clip.convert import convert_state_dict
from open_clip.model import (
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from torch import Tensor, nn

from .local_models import share_with_open_clip
from .model_config import (
    PLAIN,
    REMOTE_CODE,
    code_is_refused,
    read_model_config,
)
from .text_tower import find_text_problem
from .vision import find_tower_problem
from .weight_files.reading import (
    TOKEN_ROWS,
    TOKEN_TABLE,
    expand_token_table,
    is_archive_of_code,
    read_state_dict,
)
from .weight_sources import (
    CONFIG,
    ClipSource,
    find_model,
    find_tag,
    find_weights,
)

__all__ = [
    'TOKEN_ROWS',
    'TOKEN_TABLE',
    'expand_token_table',
    'load_clip',
    'read_state_dict',
]

VISION_POSITION = 'visual.positional_embedding'
# Of a text tower inside the model, and of one that is a part of its own.
TEXT_POSITIONS = ('positional_embedding', 'text.positional_embedding')
SCALE, BIAS = 'logit_scale', 'logit_bias'

share_with_open_clip()


def load_clip(model: str, pretrained: str | None) -> nn.Module:
    """Build a CLIP and load its weights.

    Args:
        model: A name from ``open_clip.list_models()`` whose image tower is
            a ViT, such as ``'ViT-B-16-quickgelu'`` (``docs/weights.md`` has
            the list); a repository, ``'hf-hub:org/name'``; or a folder,
            ``'local-dir:/path'``.
        pretrained: ``None`` for random weights, an open_clip tag (downloaded
            and cached by open_clip), or the path of OpenAI's TorchScript
            archive, a state dict, a safetensors file, or a folder with one
            of them. A repository or a ``local-dir:`` has its own weights,
            which are loaded with ``None`` and with a tag.

    Raises:
        ValueError: The model is unknown or not supported, its text tower
            needs a package that is not installed, the tag or path is
            unknown, the weights need another activation, or the file is
            damaged or holds weights of another model.
        RuntimeError: The weights of a tag or repository cannot be downloaded.
    """
    source = find_model(model)
    clip = _build(source)
    _check_towers(model, clip)
    if pretrained is None and source.folder is None:
        print_log(
            f'CLIP {model} has random weights (pretrained=None)', 'current'
        )
        return clip
    tag = find_tag(source, pretrained) if pretrained else {}
    if tag and not _is_quick_by_itself(source):
        _check_activation(
            source, pretrained, needs_quick=tag.get('quick_gelu', False)
        )
    path = find_weights(source, pretrained)
    if not tag:
        _check_activation_of_file(source, path)
    state = _fit(clip, read_state_dict(path), path)
    _load_strictly(clip, state, model, path)
    return clip


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence open_clip, and restore the caller's level of logging."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(level)


def _build(source: ClipSource) -> nn.Module:
    # open_clip warns about missing weights; load_clip logs that itself where
    # it is true. pretrained_text=False keeps open_clip from downloading the
    # language model, whose weights are among the CLIP's.
    language_model = source.config['text_cfg'].get('hf_model_name')
    try:
        with _without_warnings():
            if language_model:
                # open_clip would ask at the terminal whether to run code of
                # that repository, if it has some.
                hf_model.AutoConfig.from_pretrained(
                    language_model, **{REMOTE_CODE: False}
                )
            return open_clip.create_model(
                source.open_clip_name,
                load_weights=False,
                pretrained_text=False,
            )
    except Exception as error:
        if language_model:
            if REMOTE_CODE in str(error):
                part = f'text tower {language_model}'
                raise ValueError(code_is_refused(source.name, part)) from error
            raise RuntimeError(
                f'the text tower {language_model} of {source.name} cannot be '
                'built: its configuration comes from the hub, once. The error '
                'was: '
                f'{" ".join(str(error).split())}'
            ) from error
        if source.folder is None:
            raise
        # A configuration from elsewhere may make open_clip fail anywhere.
        raise ValueError(
            f'{source.folder / CONFIG} describes no model that open_clip can '
            f'build ({type(error).__name__}: {" ".join(str(error).split())})'
        ) from error


def _check_towers(model: str, clip: nn.Module) -> None:
    problem = find_tower_problem(clip.visual) or find_text_problem(clip)
    if problem:
        raise ValueError(f'{model} cannot be used: {problem}; {PLAIN}')


def _check_activation_of_file(source: ClipSource, path: Path) -> None:
    config = path.parent / CONFIG
    if path.parent == source.folder:
        return
    if is_archive_of_code(path):
        # Only OpenAI's own releases are TorchScript archives.
        _check_activation(source, str(path), needs_quick=True)
    elif config.is_file():
        quick = read_model_config(config).get('quick_gelu', False)
        _check_activation(source, str(path), needs_quick=bool(quick))


def _is_quick_by_itself(source: ClipSource) -> bool:
    """Return whether a model is quick under a plain name.

    As roberta-ViT-B-32: its tags do not repeat what the model says.
    """
    return source.quick_gelu and not source.name.endswith('-quickgelu')


def _check_activation(
    source: ClipSource, pretrained: str, *, needs_quick: bool
) -> None:
    """Check the activation: OpenAI's weights need QuickGELU, others GELU."""
    if source.quick_gelu == needs_quick:
        return
    names = {True: 'QuickGELU', False: 'GELU'}
    if source.folder:
        cure = f'set quick_gelu={needs_quick} in {source.folder / CONFIG}'
    else:
        plain = source.name.removesuffix('-quickgelu')
        other = f'{plain}-quickgelu' if needs_quick else plain
        cure = f'use model={other!r}'
        if other == source.name or other not in open_clip.list_models():
            cure = 'take other weights, since the model has no other form'
    raise ValueError(
        f'the weights {pretrained!r} were trained with {names[needs_quick]}, '
        f'{source.name} runs {names[source.quick_gelu]}: {cure}'
    )


def _fit(
    clip: nn.Module, state: dict[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Adapt weights as open_clip does where it is harmless.

    Apple's names and those of older files are replaced, position embeddings
    of another resolution or context are resized (but not timm's), the
    logit's scale may have an axis, its bias may be missing or too many, and
    buffers that the model computes are dropped.
    """
    state, own = convert_state_dict(clip, dict(state)), clip.state_dict()
    if hasattr(clip, 'text') and TEXT_POSITIONS[0] in state:
        # Saved before the text tower was a part of its own.
        state = convert_to_custom_text_state_dict(state)
    computed = dict(clip.named_buffers()).keys() - own.keys()
    for name in computed & state.keys():
        del state[name]
    for name in (SCALE, BIAS):
        if name in own and name in state and state[name].numel() == 1:
            state[name] = state[name].reshape(own[name].shape)
    if BIAS in state and BIAS not in own:
        del state[BIAS]
        print_log(
            f'{path}: {BIAS} is left out, which only sigmoid scores need',
            'current',
        )
    if BIAS in own and BIAS not in state and SCALE in state:
        state[BIAS] = state[SCALE].new_zeros(own[BIAS].shape)
    if _can_resize(state, own, VISION_POSITION, is_square=True):
        _log_resize(path, state, own, VISION_POSITION)
        state[VISION_POSITION] = state[VISION_POSITION].float()
        resize_pos_embed(state, clip)
    for name in TEXT_POSITIONS:
        if _can_resize(state, own, name, is_square=False):
            _log_resize(path, state, own, name)
            state[name] = state[name].float()
            resize_text_pos_embed(state, clip)
    return state


def _can_resize(
    state: dict[str, Tensor],
    own: dict[str, Tensor],
    name: str,
    *,
    is_square: bool,
) -> bool:
    given, wanted = state.get(name), own.get(name)
    if given is None or wanted is None:
        return False
    if given.ndim != 2 or given.shape == wanted.shape:
        return False
    side = int(max(0, len(given) - 1) ** 0.5)
    return given.shape[1] == wanted.shape[1] and (
        (side > 0 and side * side == len(given) - 1)
        if is_square
        else len(given) > 0
    )


def _log_resize(
    path: Path, state: dict[str, Tensor], own: dict[str, Tensor], name: str
) -> None:
    print_log(
        f'{path}: {name} is resized from {len(state[name])} to '
        f'{len(own[name])} rows',
        'current',
        level=logging.WARNING,
    )


def _load_strictly(
    clip: nn.Module, state: dict[str, Tensor], model: str, path: Path
) -> None:
    own = clip.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    shapes = [
        f'{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}'
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    if missing or unexpected or shapes:
        raise ValueError(
            f'{path} does not hold the weights of {model}: '
            f'missing {json.dumps(missing)}, '
            f'unexpected {json.dumps(unexpected)}, wrong shape {shapes}'
        )
    for name, value in state.items():
        if own[name].is_floating_point() != value.is_floating_point():
            raise ValueError(f'{path}: {name!r} holds {value.dtype} numbers')
    clip.load_state_dict(state)
