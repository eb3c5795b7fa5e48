"""Data set of toyland, weakly labelled."""

from mmseg.registry import DATASETS

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.names import BACKGROUND
from mmseg_weakclip.datasets.weak import WeakSegDataset

from .objects import CLASSES


@DATASETS.register_module()
class ToylandDataset(WeakSegDataset):
    """Toyland in VOC's layout, as ``tools/make_toyland.py`` writes it.

    See :class:`WeakSegDataset`.
    """

    METAINFO = dict(
        classes=(BACKGROUND, *CLASSES),
        palette=label_colors(1 + len(CLASSES)),
    )
    LAYOUT = (
        '<data_root>/JPEGImages/<id>.jpg or .png (img_suffix), '
        '<data_root>/ImageSets/Segmentation/<split>.txt (ann_file), and '
        'seeds or SegmentationClass/<id>.png (seg_map_path); '
        'tools/make_toyland.py makes it'
    )
