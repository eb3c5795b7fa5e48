"""Check a CLIP's configuration before anything is built or downloaded."""

import json
from pathlib import Path
from typing import Any

# Weights of a model; the largest CLIP that is public has fewer.
MAX_WEIGHTS = 20_000_000_000
PLAIN = 'pick a model such as ViT-B-16-quickgelu, ViT-B-32 or ViT-L-14'


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
    """Refuse models whose parts come from other libraries.

    Args:
        model: Name of the model, for messages.
        config: open_clip's configuration.

    Raises:
        ValueError: Its vision tower is timm's, or its text tower or tokenizer
            is one of the package transformers.
    """
    vision, text = config['vision_cfg'], config['text_cfg']
    if name := vision.get('timm_model_name'):
        raise ValueError(
            f'{model} has no plain ViT with a class token (its vision tower '
            f"is timm's {name}); {PLAIN}"
        )
    if name := text.get('hf_model_name'):
        raise ValueError(
            f"{model}'s text tower is not CLIP's own transformer but {name}; "
            f'{PLAIN}'
        )
    if name := text.get('hf_tokenizer_name'):
        kind = ' (MetaCLIP 2)' if 'worldwide' in model else ''
        raise ValueError(
            f'{model}{kind} needs the tokenizer {name} of the package '
            f"transformers, and only CLIP's own is supported; {PLAIN}"
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
