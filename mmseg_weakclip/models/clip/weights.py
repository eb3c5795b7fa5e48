"""Load CLIP models by open_clip name, with weights by tag or by file.

open_clip does the work; this module adds helpful errors, reads weight files of
unknown origin without running code from them, and knows models on disk
(``local_models``).
"""

import difflib
import json
import logging
import zipfile
from pathlib import Path

import open_clip
import torch
from huggingface_hub import constants, try_to_load_from_cache
from mmengine.logging import print_log
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from mmseg_weakclip.common.network import require_host

from .local_models import local_tags, local_weights, share_with_open_clip

# Scalars that OpenAI's TorchScript archives keep among the weights.
ARCHIVE_SCALARS = ('input_resolution', 'context_length', 'vocab_size')
# A token table may be stored as its trained rows: see expand_token_table.
TOKEN_TABLE = 'token_embedding.weight'
TOKEN_ROWS = 'token_embedding.rows'

share_with_open_clip()


def load_clip(model: str, pretrained: str | None) -> nn.Module:
    """Build a CLIP and load its weights.

    Args:
        model: A name from ``open_clip.list_models()`` whose vision tower is
            a plain ViT, such as ``'ViT-B-16-quickgelu'``.
        pretrained: ``None`` for random weights, an open_clip tag (downloaded
            and cached by open_clip), or the path of OpenAI's TorchScript
            archive, a state dict, or a safetensors file.

    Raises:
        ValueError: The model is unknown or has no plain ViT, the tag or path
            is unknown, the weights need another activation, or the file
            holds weights of another model.
        RuntimeError: The weights of a tag cannot be downloaded.
    """
    if model not in open_clip.list_models():
        close = difflib.get_close_matches(model, open_clip.list_models())
        raise ValueError(
            f'open_clip has no model {model!r}; close names: {close or "none"}'
        )
    clip = _build(model)
    _check_towers(model, clip)
    if pretrained is None:
        print_log(
            f'CLIP {model} has random weights (pretrained=None)', 'current'
        )
        return clip
    tag = get_pretrained_cfg(model, pretrained)
    if tag:
        _check_activation(
            model, pretrained, needs_quick=tag.get('quick_gelu', False)
        )
    path = _resolve(model, pretrained, tag)
    if not tag and _is_torchscript(path):
        # Only OpenAI's own releases are TorchScript archives.
        _check_activation(model, pretrained, needs_quick=True)
    _load_strictly(clip, read_state_dict(path), model, path)
    return clip


def _build(model: str) -> nn.Module:
    # open_clip warns about missing weights; load_clip logs that itself where
    # it is true. pretrained_text=False keeps open_clip from downloading the
    # language model of a tower that is not supported anyway.
    logging.disable(logging.WARNING)
    try:
        return open_clip.create_model(model, pretrained_text=False)
    finally:
        logging.disable(logging.NOTSET)


def _check_towers(model: str, clip: nn.Module) -> None:
    visual = clip.visual
    plain = (
        type(visual) is VisionTransformer
        and visual.attn_pool is None
        and visual.pool_type == 'tok'
        and not visual.final_ln_after_pool
        and all(
            isinstance(block.attn, nn.MultiheadAttention)
            for block in visual.transformer.resblocks
        )
    )
    if not plain:
        raise ValueError(
            f'{model} has no plain ViT with a class token (its vision tower '
            f'is a {type(visual).__name__}); pick a model such as '
            'ViT-B-16-quickgelu, ViT-B-32 or ViT-L-14'
        )
    if not hasattr(clip, 'token_embedding'):
        raise ValueError(
            f"{model}'s text tower is not CLIP's own "
            'transformer; pick a model such as ViT-B-16'
        )


def _resolve(model: str, pretrained: str, tag: dict) -> Path:
    """Return the file of the weights, downloaded if necessary."""
    local = local_weights(model, pretrained)
    if local is not None:
        return local
    if tag:
        cached = _cached_file(tag)
        if cached is not None:
            return cached
        try:
            require_host(
                constants.ENDPOINT if tag.get('hf_hub') else tag['url']
            )
            return Path(open_clip.download_pretrained(tag))
        except Exception as error:  # every hub and network has its own
            cause = ' '.join(str(error).split())
            raise RuntimeError(
                f'the weights {pretrained!r} of {model} could not be '
                f'downloaded. Without a network, fetch {_source_of(tag)} '
                'elsewhere, put the file anywhere on this machine and give '
                f'its path as `pretrained`. The error was: {cause}'
            ) from error
    path = Path(pretrained)
    if path.is_file():
        return path
    tags = local_tags(model) + open_clip.list_pretrained_tags_by_model(model)
    raise ValueError(
        f'pretrained={pretrained!r} is neither a file nor a tag '
        f'of {model}; its tags: {tags}'
    )


def _cached_file(tag: dict) -> Path | None:
    """Return the file of a tag that the hub has in its cache, unasked."""
    repository, _, file = tag.get('hf_hub', '').rpartition('/')
    if not repository:
        return None
    for name in [file] if file else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _source_of(tag: dict) -> str:
    """Describe the file behind a tag of open_clip."""
    if tag.get('url'):
        return tag['url']
    # A repository alone means either of open_clip's two standard files.
    repository, _, file = tag['hf_hub'].rpartition('/')
    names = file or f'{HF_SAFE_WEIGHTS_NAME} or {HF_WEIGHTS_NAME}'
    return f'{names} from https://huggingface.co/{repository}'


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(
            name.endswith('constants.pkl') for name in archive.namelist()
        )


def _check_activation(
    model: str, pretrained: str, *, needs_quick: bool
) -> None:
    """Check the activation: OpenAI's weights need QuickGELU, others GELU."""
    uses_quick = open_clip.get_model_config(model).get('quick_gelu', False)
    if uses_quick == needs_quick:
        return
    names = {True: 'QuickGELU', False: 'GELU'}
    plain = model.removesuffix('-quickgelu')
    other = f'{plain}-quickgelu' if needs_quick else plain
    raise ValueError(
        f'the weights {pretrained!r} were trained with {names[needs_quick]}, '
        f'{model} runs {names[uses_quick]}: use model={other!r}'
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read CLIP weights from a file without running code from it.

    Args:
        path: OpenAI's TorchScript archive, a (possibly nested, possibly
            ``module.``-prefixed) state dict, or safetensors.

    Returns:
        Tensors by open_clip's names, on the CPU.
    """
    if path.suffix == '.safetensors':
        from safetensors.torch import load_file

        state = load_file(path)
    elif _is_torchscript(path):
        state = dict(torch.jit.load(path, map_location='cpu').state_dict())
    else:
        state = torch.load(path, map_location='cpu', weights_only=True)
        state = state.get('state_dict', state)
    state = {
        name.removeprefix('module.'): value
        for name, value in state.items()
        if name not in ARCHIVE_SCALARS
    }
    return expand_token_table(state) if TOKEN_ROWS in state else state


def expand_token_table(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fill a token table that holds only its trained rows.

    Tokens that were never trained get the zero vector, so unknown words add
    nothing.

    Args:
        state: State dict in which ``TOKEN_TABLE`` holds (R, D) rows,
            ``TOKEN_ROWS`` holds the R token ids followed by the size of the
            vocabulary.
    """
    state = dict(state)
    *rows, vocabulary = state.pop(TOKEN_ROWS).tolist()
    values = state[TOKEN_TABLE]
    table = values.new_zeros(vocabulary, values.shape[1])
    table[rows] = values
    state[TOKEN_TABLE] = table
    return state


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
    clip.load_state_dict(state)
