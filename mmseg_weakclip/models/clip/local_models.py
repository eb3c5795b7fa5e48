"""Registry of CLIP models on disk, such as toyland's.

It works without open_clip, whose import takes seconds; once that is imported,
the models are added to it.
"""

import sys
from pathlib import Path

_configs: dict[str, Path] = {}
_weights: dict[tuple[str, str], Path] = {}


def add_local_model(config: Path, tag: str, weights: Path) -> None:
    """Register a model on disk under its name, like open_clip's own.

    Args:
        config: open_clip's configuration JSON; the file's stem is the name.
        tag: Name of these weights, for ``pretrained``.
        weights: Weights, a file that ``read_state_dict`` reads.
    """
    _configs[config.stem] = config
    _weights[config.stem, tag] = weights
    if 'open_clip' in sys.modules:
        share_with_open_clip()


def share_with_open_clip() -> None:
    """Add all registered models to open_clip."""
    import open_clip

    for name, config in _configs.items():
        if name not in open_clip.list_models():
            open_clip.add_model_config(config)


def local_weights(model: str, tag: str) -> Path | None:
    """Return the file of a local model's weights, or None."""
    return _weights.get((model, tag))


def local_tags(model: str) -> list[str]:
    """Return the tags of a local model's weights; none for other models."""
    return [tag for name, tag in _weights if name == model]
