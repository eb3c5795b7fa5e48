"""Toyland, the world that this package brings along, weakly labelled."""

from mmseg.registry import DATASETS

from ..palette import label_colors
from .class_names import BACKGROUND, VOCABULARIES
from .weak_seg import WeakSegDataset

CLASSES = (BACKGROUND, *VOCABULARIES['toyland'])


@DATASETS.register_module()
class ToylandDataset(WeakSegDataset):
    """Toyland in VOC's layout, as ``tools/make_toyland.py`` writes it.

    See :class:`WeakSegDataset`.
    """

    METAINFO = dict(classes=CLASSES, palette=label_colors(len(CLASSES)))
    LAYOUT = (
        '<data_root>/JPEGImages/<id>.jpg or .png (img_suffix), '
        '<data_root>/ImageSets/Segmentation/<split>.txt (ann_file), and '
        'seeds or SegmentationClass/<id>.png (seg_map_path); '
        'tools/make_toyland.py makes it'
    )
