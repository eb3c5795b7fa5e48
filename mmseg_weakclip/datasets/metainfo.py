"""Class names and colours of a config, without its data."""

from typing import Any

from mmengine import fileio
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ..palette import label_colors

SPLITS = ('test', 'val', 'train')


def config_metainfo(cfg: Config) -> dict[str, list] | None:
    """What the data set of a config calls its classes, and paints them.

    The first of the test, validation and training data that names classes is
    taken. No image or list is opened.

    Returns:
        ``classes``, and ``palette``, RGB triples (0..255), VOC's colours
        where the data set has none; None if no data set names classes.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            meta = _metainfo(loader['dataset'])
            if meta.get('classes'):
                return with_palette(meta)
    return None


def with_palette(meta: dict[str, Any]) -> dict[str, list]:
    """``classes`` and ``palette`` of a data set's meta information."""
    classes = list(meta['classes'])
    palette = meta.get('palette') or label_colors(len(classes))
    return dict(
        classes=classes, palette=[[int(c) for c in color] for color in palette]
    )


def _metainfo(dataset: dict[str, Any]) -> dict[str, Any]:
    # Wrappers, such as RepeatDataset and ConcatDataset, have others inside.
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    own = getattr(DATASETS.get(dataset['type']), 'METAINFO', {})
    meta = {**own, **(dataset.get('metainfo') or {})}
    if isinstance(meta.get('classes'), str):
        meta['classes'] = fileio.list_from_file(meta['classes'])
    return meta
