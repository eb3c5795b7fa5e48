"""Mean and deviation of images that weights were trained with.

open_clip records them with its tags, and a repository in its
``open_clip_config.json``. A wrong pair is silent: most CLIPs have OpenAI's,
SigLIP and PE-Core have 0.5 and 0.5, MobileCLIP has 0 and 1.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
from mmengine.logging import print_log
from open_clip.pretrained import get_pretrained_cfg

from .weight_files.reading import is_archive_of_code
from .weight_sources import (
    CONFIG,
    FOLDER,
    HUB,
    ClipSource,
    find_model,
    find_tag,
)

# Mean, deviation: of RGB in 0..255.
Normalization = tuple[tuple[float, ...], tuple[float, ...]]


def weight_normalization(
    model: str, pretrained: str | None
) -> Normalization | None:
    """Return mean and deviation that a CLIP's weights need.

    A file says nothing of its own: then the ``open_clip_config.json`` beside
    it counts, then what all of open_clip's tags of the model agree in. Where
    they do not, the log says so.

    Args:
        model: Name of the model; see :func:`load_clip`.
        pretrained: Tag, file or folder of the weights; None for those of a
            repository or folder, else for random weights.

    Returns:
        Mean and deviation of RGB in 0..255; None if nothing is recorded.

    Raises:
        ValueError: There is no such model.
    """
    if pretrained is None and not model.startswith((HUB, FOLDER)):
        return None
    source = find_model(model)
    if pretrained and (tag := find_tag(source, pretrained)):
        return _scaled(tag)
    path = Path(pretrained).expanduser() if pretrained else None
    if path is not None and path.exists():
        folder = path if path.is_dir() else path.parent
        if recorded := _of_folder(folder):
            return recorded
        if path.is_file() and is_archive_of_code(path):
            # Only OpenAI's own releases are TorchScript archives.
            return _scaled(get_pretrained_cfg('ViT-B-32', 'openai'))
    if source.folder is not None:
        return _of_folder(source.folder)
    return _shared_by_tags(source)


def _of_folder(folder: Path) -> Normalization | None:
    try:
        record = json.loads((folder / CONFIG).read_text(encoding='utf-8'))
        return _scaled(record.get('preprocess_cfg') or {})
    except (OSError, ValueError, AttributeError):
        return None


def _shared_by_tags(source: ClipSource) -> Normalization | None:
    tags = open_clip.list_pretrained_tags_by_model(source.name)
    found = {_scaled(get_pretrained_cfg(source.name, tag)) for tag in tags}
    if len(found) > 1:
        print_log(
            f'weights of {source.name} were trained with one of the means and '
            f'deviations {sorted(filter(None, found))}, and a file does not '
            "tell which: compare them with the data_preprocessor's, or put "
            f'their {CONFIG} beside the file',
            'current',
            level=logging.WARNING,
        )
    return found.pop() if len(found) == 1 else None


def _scaled(record: dict[str, Any]) -> Normalization | None:
    pair = record.get('mean'), record.get('std')
    if not all(
        isinstance(values, Sequence)
        and len(values) == 3
        and all(isinstance(value, (int, float)) for value in values)
        for values in pair
    ):
        return None
    mean, std = (
        tuple(round(255 * value, 3) for value in values) for values in pair
    )
    return mean, std
