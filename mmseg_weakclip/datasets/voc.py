"""PASCAL VOC 2012, weakly labelled or without the background."""

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .weak import WeakSegDataset


@DATASETS.register_module()
class WeakVOC12Dataset(WeakSegDataset):
    """PASCAL VOC 2012: 20 object classes and the background.

    ``ann_file`` is the list of the split. See :class:`WeakSegDataset`.
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


@DATASETS.register_module()
class VOC20Dataset(PascalVOCDataset):
    """PASCAL VOC 2012 without the background, which is ignored."""

    METAINFO = dict(
        classes=PascalVOCDataset.METAINFO['classes'][1:],
        palette=PascalVOCDataset.METAINFO['palette'][1:],
    )

    def __init__(self, **kwargs) -> None:
        super().__init__(reduce_zero_label=True, **kwargs)
