"""Benchmarks of zero-shot segmentation that mmseg has no class for.

Both read the files of data sets that mmseg knows, under other classes.
"""

from collections.abc import Sequence

from mmseg.datasets import COCOStuffDataset, PascalVOCDataset
from mmseg.registry import DATASETS

from ..palette import label_colors
from .class_names import BACKGROUND
from .coco_names import COCO_NAMES

NUM_STUFF = 91


@DATASETS.register_module()
class VOC20Dataset(PascalVOCDataset):
    """PASCAL VOC 2012 without the background, which is ignored."""

    METAINFO = dict(
        classes=PascalVOCDataset.METAINFO['classes'][1:],
        palette=PascalVOCDataset.METAINFO['palette'][1:],
    )

    def __init__(self, **kwargs) -> None:
        super().__init__(reduce_zero_label=True, **kwargs)


@DATASETS.register_module()
class COCOObjectDataset(COCOStuffDataset):
    """COCO's 80 kinds of objects, all else is background.

    Reads the masks of COCO-Stuff 164k (``*_labelTrainIds.png``), where 0 to
    79 are objects and 80 to 170 stuff; there is nothing to convert.
    """

    METAINFO = dict(
        classes=(BACKGROUND, *COCO_NAMES),
        palette=label_colors(1 + len(COCO_NAMES)),
    )

    @classmethod
    def get_label_map(
        cls, new_classes: Sequence[str] | None = None
    ) -> dict[int, int]:
        """From ids of COCO-Stuff to ids of ``classes``.

        Raises:
            ValueError: Other classes are asked for.
        """
        if new_classes and tuple(new_classes) != cls.METAINFO['classes']:
            raise ValueError(
                'COCOObjectDataset has the classes of COCO, in order; its '
                'metainfo cannot name others'
            )
        objects = len(COCO_NAMES)
        ids = range(objects + NUM_STUFF)
        return {old: old + 1 if old < objects else 0 for old in ids}
