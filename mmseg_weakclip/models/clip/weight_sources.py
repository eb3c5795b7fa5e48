"""Where a CLIP and its weights come from: names, folders, hub, cache.

Names are those that open_clip takes: one of its list (``ViT-B-16``, also
written ``ViT-B/16``), a repository (``hf-hub:org/name``), or a folder
(``local-dir:/path``). Repositories and folders hold an
``open_clip_config.json`` beside the weights.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
)
from mmengine.logging import print_log
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.pretrained import get_pretrained_cfg

from mmseg_weakclip.common.network import require_host

from .local_models import local_tags, local_weights
from .model_config import check_model_config, read_model_config

HUB = 'hf-hub:'
FOLDER = 'local-dir:'
CONFIG = 'open_clip_config.json'
# Files of weights in a folder, the first that is there counts.
WEIGHTS = (
    HF_SAFE_WEIGHTS_NAME, 'open_clip_pytorch_model.safetensors',
    HF_WEIGHTS_NAME, 'open_clip_pytorch_model.pth', 'model.safetensors',
    'pytorch_model.bin', 'pytorch_model.pth', 'model.pth',
)  # fmt: skip
REPOSITORY = re.compile(r'[\w.-]+/[\w.-]+')


@dataclass(frozen=True)
class ClipSource:
    """Model that a name stands for.

    Attributes:
        name: Name as it was given, with ``-`` for ``/`` in a plain one.
        config: open_clip's configuration of the model.
        folder: Folder with the configuration; None for a plain name.
        repository: Repository on the hub, or None.
    """

    name: str
    config: dict[str, Any]
    folder: Path | None = None
    repository: str | None = None

    @property
    def open_clip_name(self) -> str:
        """Name by which open_clip finds the model without a network."""
        return f'{FOLDER}{self.folder}' if self.folder else self.name

    @property
    def quick_gelu(self) -> bool:
        """Whether the model runs with QuickGELU."""
        return bool(self.config.get('quick_gelu', False))


def find_model(model: str) -> ClipSource:
    """Find the configuration of a model.

    Args:
        model: Name; see the module.

    Raises:
        ValueError: The name is unknown, the folder has no configuration, or
            the model cannot be used; see :func:`check_model_config`.
        RuntimeError: The configuration cannot be downloaded.
    """
    if model.startswith(HUB):
        repository = model.removeprefix(HUB)
        if not REPOSITORY.fullmatch(repository):
            raise ValueError(
                f'{model!r} names no repository; write {HUB}ORGANISATION/NAME'
            )
        file = _from_hub(repository, (CONFIG,))
        source = ClipSource(
            model, read_model_config(file), file.parent, repository
        )
    elif model.startswith(FOLDER):
        folder = Path(model.removeprefix(FOLDER)).expanduser().absolute()
        if not (folder / CONFIG).is_file():
            raise ValueError(f'{model}: the folder has no {CONFIG}')
        source = ClipSource(model, read_model_config(folder / CONFIG), folder)
    else:
        name = model.replace('/', '-')
        config = open_clip.get_model_config(name)
        if config is None:
            raise ValueError(_unknown(model))
        source = ClipSource(name, config)
    check_model_config(model, source.config)
    return source


def _unknown(model: str) -> str:
    if (Path(model) / CONFIG).is_file():
        return f'{model!r} is a folder; write {FOLDER}{model}'
    close = difflib.get_close_matches(model, open_clip.list_models())
    return f'open_clip has no model {model!r}; close names: {close or "none"}'


def find_tag(source: ClipSource, pretrained: str) -> dict[str, Any]:
    """Return open_clip's settings of a tag; empty if it is not a tag."""
    if source.folder:
        return {}
    return get_pretrained_cfg(source.name, pretrained)


def find_weights(source: ClipSource, pretrained: str | None) -> Path:
    """Return the file of the weights, downloaded if necessary.

    Args:
        source: Model.
        pretrained: Tag, file, or folder with a file of weights. A repository
            and a ``local-dir:`` have their own weights: as in open_clip they
            are taken, whatever the tag, unless a file is given.

    Raises:
        ValueError: There is no such tag, file or file in the folder.
        RuntimeError: The weights cannot be downloaded.
    """
    if pretrained and (local := local_weights(source.name, pretrained)):
        return local
    if pretrained and (tag := find_tag(source, pretrained)):
        return _tagged_file(source.name, pretrained, tag)
    path = Path(pretrained).expanduser() if pretrained else None
    if path is not None and path.is_file():
        return path
    if path is not None and path.is_dir():
        return _in_folder(path)
    if source.folder:
        if pretrained:
            print_log(
                f'{source.name} has weights of its own: '
                f'pretrained={pretrained!r} is ignored',
                'current',
                level=30,
            )
        if source.repository:
            return _from_hub(
                source.repository, (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
            )
        return _in_folder(source.folder)
    tags = local_tags(source.name)
    tags += open_clip.list_pretrained_tags_by_model(source.name)
    raise ValueError(
        f'pretrained={pretrained!r} is neither a file nor a tag '
        f'of {source.name}; its tags: {tags}'
    )


def _in_folder(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    names = sorted(path.name for path in folder.iterdir())[:10]
    raise ValueError(
        f'the folder {folder} has no {WEIGHTS[0]} or {HF_WEIGHTS_NAME}; it '
        f'holds {names}'
    )


def _from_hub(repository: str, names: tuple[str, ...]) -> Path:
    """Return the first of some files that a repository has."""
    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    wanted = ' or '.join(names)
    try:
        require_host(constants.ENDPOINT)
        for name in names:
            try:
                return Path(hf_hub_download(repository, name))
            except LocalEntryNotFoundError:
                # The hub was not reached; a subclass of the next.
                raise
            except EntryNotFoundError:
                continue
    except Exception as error:  # every hub and network has its own
        raise RuntimeError(
            f'{wanted} of {repository} could not be downloaded. Without a '
            f'network, fetch the files of {constants.ENDPOINT}/{repository} '
            f'elsewhere, put them into a folder and give it as model='
            f'{FOLDER}FOLDER. The error was: {_flat(error)}'
        ) from error
    raise RuntimeError(f'the repository {repository} has no {wanted}')


def _tagged_file(model: str, pretrained: str, tag: dict[str, Any]) -> Path:
    cached = _cached_file(tag)
    if cached is not None:
        return cached
    try:
        require_host(constants.ENDPOINT if tag.get('hf_hub') else tag['url'])
        return Path(open_clip.download_pretrained(tag))
    except Exception as error:  # every hub and network has its own
        raise RuntimeError(
            f'the weights {pretrained!r} of {model} could not be '
            f'downloaded. Without a network, fetch {_source_of(tag)} '
            'elsewhere, put the file anywhere on this machine and give '
            f'its path as `pretrained`. The error was: {_flat(error)}'
        ) from error


def _cached_file(tag: dict[str, Any]) -> Path | None:
    """Return the file of a tag that the hub has in its cache, unasked."""
    repository, _, file = tag.get('hf_hub', '').rpartition('/')
    if not repository:
        return None
    for name in [file] if file else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _source_of(tag: dict[str, Any]) -> str:
    """Describe the file behind a tag of open_clip."""
    if tag.get('url'):
        return tag['url']
    # A repository alone means either of open_clip's two standard files.
    repository, _, file = tag['hf_hub'].rpartition('/')
    names = file or f'{HF_SAFE_WEIGHTS_NAME} or {HF_WEIGHTS_NAME}'
    return f'{names} from https://huggingface.co/{repository}'


def _flat(error: Exception) -> str:
    return ' '.join(str(error).split())
