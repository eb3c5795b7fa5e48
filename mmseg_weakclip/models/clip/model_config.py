"""Check a CLIP's configuration before anything is built or downloaded."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import timm
import torch
from open_clip import CLIPVisionCfg

# Weights of a model; the largest CLIP that is public has fewer.
MAX_WEIGHTS = 20_000_000_000
# Option of transformers that runs Python files of a repository.
REMOTE_CODE = 'trust_remote_code'
PLAIN = 'pick a ViT, such as ViT-B-16-quickgelu, ViT-L-14 or PE-Core-B-16'
# Modules of timm whose models are blocks of attention over patches, behind a
# stem.
TIMM_VITS = (
    'vision_transformer',
    'vision_transformer_hybrid',
    'eva',
    'vitamin',
)
# Why others of open_clip's list are not.
NO_VITS = {
    'convnext': 'a convolutional network, which has no attention blocks',
    'fastvit': 'whose blocks are convolutions but for the last stage',
    'swin_transformer': 'whose attention is confined to windows',
    'vision_transformer_relpos': 'whose attention adds relative positions',
}


def read_model_config(path: Path) -> dict[str, Any]:
    """Read an ``open_clip_config.json``.

    Args:
        path: File; its ``model_cfg`` is the model.

    Raises:
        ValueError: It is not JSON, or has no complete ``model_cfg``.
    """
    try:
        whole = json.loads(path.read_text(encoding='utf-8'))
        config = whole['model_cfg']
        parts = config['vision_cfg'], config['text_cfg']
        size = config['embed_dim']
        complete = all(isinstance(part, dict) for part in parts)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a model's configuration: {error!r}"
        ) from error
    if not complete or not isinstance(size, int):
        raise ValueError(f'{path} has a model_cfg that describes no CLIP')
    if not _count_weights(config) <= MAX_WEIGHTS:
        raise ValueError(f'{path} describes a model that fits no machine')
    return config


def check_model_config(model: str, config: dict[str, Any]) -> None:
    """Refuse models whose towers have no use here, before they are built.

    Args:
        model: Name of the model, for messages.
        config: open_clip's configuration.

    Raises:
        ValueError: The image tower is not a ViT, or the text tower needs the
            package transformers, which is not installed.
    """
    if reason := find_config_problem(config):
        raise ValueError(f'{model} cannot be used: {reason}; {PLAIN}')
    if name := config['text_cfg'].get('hf_model_name'):
        require_transformers(model, f'text tower {name}')


def find_config_problem(config: dict[str, Any]) -> str | None:
    """Return why a model is not supported, or None."""
    vision, text = config['vision_cfg'], config['text_cfg']
    if 'multimodal_cfg' in config:
        return (
            'it is a CoCa, which reads images and texts by queries and '
            'tokens of its own'
        )
    if isinstance(vision.get('layers'), list):
        return 'its image tower is a ResNet, which has no attention blocks'
    if name := vision.get('timm_model_name'):
        return _find_timm_name_problem(str(name))
    if text.get('embed_cls'):
        return 'its text tower has a class token behind the text'
    return None


def _find_timm_name_problem(name: str) -> str | None:
    if not timm.is_model(name.split('.')[0]):
        # Such as hf_hub:..., which timm would download.
        return f"its image tower {name!r} is no name of timm's own models"
    origin = timm.model_entrypoint(name.split('.')[0]).__module__
    family = origin.rpartition('.')[2]
    if family in TIMM_VITS:
        return None
    reason = NO_VITS.get(family, 'which is no ViT of a known kind')
    return f"its image tower is timm's {name}, {reason}"


def require_transformers(model: str, part: str) -> None:
    """Check that the package transformers is there.

    Args:
        model: Name of the model, for the message.
        part: What of the model needs it.

    Raises:
        ValueError: It is not installed.
    """
    if importlib.util.find_spec('transformers') is None:
        raise ValueError(
            f'{model}: the {part} needs the package transformers, which is '
            "not installed: pip install 'mmseg_weakclip[hf]'"
        )


def code_is_refused(model: str, part: str) -> str:
    """Return what to say where a model is code of its repository.

    Args:
        model: Name of the model.
        part: What of the model is code.
    """
    return (
        f'{model}: the {part} is Python code of its repository, which is not '
        "run; only transformers' own classes are supported"
    )


def require_tokenizer(model: str, config: dict[str, Any]) -> None:
    """Check that the package of a model's tokenizer is there.

    Raises:
        ValueError: It is not installed.
    """
    if name := config['text_cfg'].get('hf_tokenizer_name'):
        require_transformers(model, f'tokenizer {name}')


def image_tower_size(config: dict[str, Any]) -> tuple[int, int]:
    """Return width and number of blocks of a supported image tower."""
    vision = config['vision_cfg']
    if name := vision.get('timm_model_name'):
        with torch.device('meta'):
            trunk = timm.create_model(name)
        return trunk.embed_dim, len(trunk.blocks)
    # What open_clip takes where a configuration leaves them out.
    usual = CLIPVisionCfg()
    return (
        vision.get('width', usual.width),
        vision.get('layers', usual.layers),
    )


def _count_weights(config: dict[str, Any]) -> float:
    """Estimate a model's number of weights; infinite if it says nonsense."""
    vision, text = config['vision_cfg'], config['text_cfg']
    try:
        total = 0.0
        for part in (vision, text):
            layers, width = part.get('layers', 12), part.get('width', 768)
            # A ResNet has four numbers of layers.
            layers = sum(layers) if isinstance(layers, list) else layers
            ratio = part.get('mlp_ratio', 4)
            total += (4 + 2 * ratio) * layers * width**2
        side = vision.get('image_size', 224)
        height, across = side if isinstance(side, list) else (side, side)
        patch = vision.get('patch_size') or 16
        patch = min(patch) if isinstance(patch, list) else patch
        total += (height / patch) * (across / patch) * vision.get('width', 768)
        total += text.get('vocab_size', 49408) * text.get('width', 512)
        total += text.get('context_length', 77) * text.get('width', 512)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return float('inf')
    return total
