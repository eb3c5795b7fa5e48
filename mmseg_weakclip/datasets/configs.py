"""Read and change data sets in configs, however they are wrapped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine import fileio
from mmengine.config import Config

from mmseg_weakclip.common.masks import label_colors

from .masks.folders import find_mask_folder

# mmseg is imported where a type is looked up: its import takes seconds, and
# most edits of configs need none.
SPLITS = ('test', 'val', 'train')


def iter_base_datasets(config: dict) -> Iterator[dict]:
    """Yield the data sets inside ConcatDataset, RepeatDataset and the like.

    Args:
        config: ``dataset`` of a data loader.
    """
    inner = config.get('datasets') or config.get('dataset')
    if not inner:
        yield config
        return
    for part in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from iter_base_datasets(part)


def iter_dicts(value: Any) -> Iterator[dict]:
    """Yield every dictionary inside a config's value, itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from iter_dicts(inner)


def trains_on_masks(config: dict) -> bool:
    """Whether the pipeline of a data set reads masks to learn from."""
    from mmseg.datasets.transforms import LoadAnnotations
    from mmseg.registry import TRANSFORMS

    from .masks.transforms import LoadTruthIfPresent

    for transform in iter_dicts(config.get('pipeline', ())):
        name = transform.get('type')
        kind = TRANSFORMS.get(name) if isinstance(name, str) else name
        if (
            isinstance(kind, type)
            and issubclass(kind, LoadAnnotations)
            and not issubclass(kind, LoadTruthIfPresent)
        ):
            return True
    return False


def use_masks_of(config: dict, folder: str | Path) -> Path:
    """Let a training set take its masks from a folder.

    Args:
        config: ``dataset`` of the data loader, changed in place.
        folder: Folder of masks; see :func:`find_mask_folder`.

    Returns:
        The folder that holds the masks.

    Raises:
        ValueError: The training set reads no masks.
        FileNotFoundError: The folder does not exist, or has no mask.
    """
    parts = list(iter_base_datasets(config))
    readers = [part for part in parts if trains_on_masks(part)]
    if not readers:
        kinds = ', '.join(str(part.get('type')) for part in parts)
        raise ValueError(
            f'the training set ({kinds}) reads no masks, its pipeline has no '
            'LoadSeed: take a config that trains on masks, such as those in '
            'configs/segmenters'
        )
    for part in readers:
        found = find_mask_folder(folder, part.get('seg_map_suffix', '.png'))
        part['data_prefix'] = {
            **part.get('data_prefix', {}),
            'seg_map_path': str(found),
        }
    return found


def disable_mask_check(config: dict) -> None:
    """Let data sets be built although masks are missing.

    Args:
        config: ``dataset`` of a data loader, changed in place.
    """
    from mmseg.registry import DATASETS

    from .weak import WeakSegDataset

    for part in iter_base_datasets(config):
        kind = part.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, WeakSegDataset):
            part['check_masks'] = False


def config_metainfo(cfg: Config) -> dict[str, list] | None:
    """Return the classes and the palette of a config's data set.

    The first of the test, validation and training data that names classes is
    taken. No image or list is opened.

    Args:
        cfg: Whole config.

    Returns:
        ``classes``, and ``palette``, RGB triples (0..255), VOC's colours
        where the data set has none; None if no data set names classes.
    """
    from mmengine.registry import init_default_scope

    init_default_scope(cfg.get('default_scope', 'mmseg'))
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            meta = _dataset_metainfo(loader['dataset'])
            if meta.get('classes'):
                return with_palette(meta)
    return None


def with_palette(meta: dict[str, Any]) -> dict[str, list]:
    """Return ``classes`` and ``palette`` of a data set's metainfo.

    Args:
        meta: Metainfo with ``classes``; without a palette, VOC's colours are
            taken.
    """
    classes = list(meta['classes'])
    palette = meta.get('palette') or label_colors(len(classes))
    return dict(
        classes=classes, palette=[[int(c) for c in color] for color in palette]
    )


def _dataset_metainfo(dataset: dict[str, Any]) -> dict[str, Any]:
    from mmseg.registry import DATASETS

    base = next(iter_base_datasets(dataset))
    own = getattr(DATASETS.get(base['type']), 'METAINFO', {})
    meta = {**own, **(base.get('metainfo') or {})}
    if isinstance(meta.get('classes'), str):
        meta['classes'] = fileio.list_from_file(meta['classes'])
    return meta
