"""PASCAL VOC 2012, weakly labelled."""

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .weak_seg import WeakSegDataset


@DATASETS.register_module()
class WeakVOC12Dataset(WeakSegDataset):
    """PASCAL VOC 2012: 20 object classes and the background.

    Any split: the list is ``ann_file``. See :class:`WeakSegDataset`.
    """

    METAINFO = dict(
        classes=PascalVOCDataset.METAINFO['classes'],
        palette=PascalVOCDataset.METAINFO['palette'],
    )
    LAYOUT = (
        '<data_root>/JPEGImages/<id>.jpg, '
        '<data_root>/ImageSets/Segmentation/<split>.txt (ann_file), and '
        'seeds or SegmentationClassAug/<id>.png (seg_map_path)'
    )
