"""COCO 2014, weakly labelled, and COCO-Stuff's masks of objects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine import fileio
from mmengine.logging import print_log
from mmseg.datasets import COCOStuffDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

from mmseg_weakclip.common.masks import ids_of_mask, label_colors, read_mask
from mmseg_weakclip.common.names import BACKGROUND, COCO91_NAMES, COCO_NAMES
from mmseg_weakclip.datasets.labels.id_lists import ListedImage
from mmseg_weakclip.datasets.masks.coco_encoding import (
    ENCODINGS,
    MaskIds,
    detect_coco_encoding,
    encoding_label_map,
)

from .transforms import LoadImageLabels, find_transform
from .weak import WeakSegDataset

CLASSES = (BACKGROUND, *COCO_NAMES)
CLASSES91 = (BACKGROUND, *COCO91_NAMES)
# Classes of COCO-Stuff behind the objects.
NUM_STUFF = 91


@DATASETS.register_module()
class WeakCOCO14Dataset(WeakSegDataset):
    """COCO 2014: 80 object classes and the background.

    Masks with COCO's own 91 ids and contiguous ones are both read; either
    way a sample has the ids of ``metainfo['classes']``, and what these lack
    is ignored. See :class:`WeakSegDataset`.

    Args:
        label_encoding: Encoding of the masks: 'coco91', 'contiguous', or
            'auto', which looks at some of them.
        encoding_probe: Number of masks, spread over the list, that 'auto'
            looks at. ``tools/check_dataset.py`` looks at all.
        args: Arguments of WeakSegDataset.
        kwargs: Arguments of WeakSegDataset.

    Attributes:
        mask_encoding: Encoding that was found or set; None without masks.

    Raises:
        ValueError: 'auto' finds a mixture of encodings, cannot tell them
            apart, or would have to read masks that are not seeds in
            training.
        FileNotFoundError: None of the masks exists.
    """

    METAINFO = dict(classes=CLASSES, palette=label_colors(len(CLASSES)))
    LAYOUT = (
        '<data_root>/<img_path>/<12-digit id>.jpg, a list of ids (ann_file), '
        'and seeds or class masks <data_root>/<seg_map_path>/<id>.png'
    )

    def __init__(
        self,
        *args: Any,
        label_encoding: str = 'auto',
        encoding_probe: int = 500,
        **kwargs: Any,
    ) -> None:
        if label_encoding not in ('auto', *ENCODINGS):
            raise ValueError(
                f'Unknown label_encoding {label_encoding!r}; choose '
                f"'auto' or one of {sorted(ENCODINGS)}."
            )
        self.label_encoding = label_encoding
        self.encoding_probe = encoding_probe
        self.mask_encoding: str | None = None
        super().__init__(*args, **kwargs)

    @property
    def reads_masks(self) -> bool:
        """Whether the pipeline reads masks that exist: seeds or test truth."""
        folder = self.data_prefix.get('seg_map_path')
        loads = find_transform(self.pipeline, LoadAnnotations) is not None
        return (
            bool(folder)
            and loads
            and (self.test_mode or self.has_seeds)
            and fileio.exists(folder, self.backend_args)
        )

    def load_label_map(
        self, images: Sequence[ListedImage]
    ) -> dict[int, int] | None:
        """Return the class id of each mask id, by the encoding."""
        self.mask_encoding = self.label_encoding
        if self.label_encoding == 'auto':
            self.mask_encoding = None
            if self.reads_masks:
                self.mask_encoding = self._detect(images)
                print_log(
                    f'{self.data_prefix["seg_map_path"]}: masks are in the '
                    f'{self.mask_encoding} encoding of COCO.',
                    logger='current',
                )
        if self.mask_encoding is None:
            self._check_unread()
            return None
        return encoding_label_map(
            self.mask_encoding, self._metainfo['classes'], self.ignore_index
        )

    def _check_unread(self) -> None:
        """Refuse to train on masks that may not be opened here."""
        loader = find_transform(self.pipeline, LoadAnnotations)
        if loader is None or self.test_mode or self.has_seeds:
            return
        raise ValueError(
            f'The training pipeline reads masks with {type(loader).__name__}. '
            'Their encoding is found for seeds only (LoadSeed), since other '
            "masks may be pixel truth: set label_encoding='coco91' or "
            "'contiguous'."
        )

    def _detect(self, images: Sequence[ListedImage]) -> str:
        count = min(len(images), self.encoding_probe)
        chosen = np.linspace(0, len(images) - 1, count).astype(int)
        probes = [images[i] for i in np.unique(chosen)]
        paths = [(image, self.mask_path(image)) for image in probes]
        masks = [
            self._mask_ids(image, path)
            for image, path in paths
            if path and fileio.exists(path, self.backend_args)
        ]
        if not masks:
            raise FileNotFoundError(
                f'None of {len(probes)} masks exists, the first is '
                f'{paths[0][1]}.'
            )
        return detect_coco_encoding(masks)

    def _mask_ids(self, image: ListedImage, path: str) -> MaskIds:
        ids = ids_of_mask(read_mask(path, self.backend_args)).tolist()
        return MaskIds(
            path,
            frozenset(ids) - {self.ignore_index},
            self._label_names(image),
        )

    def _label_names(self, image: ListedImage) -> frozenset[str] | None:
        """Return the classes of an image, where the pipeline loads labels."""
        loader = find_transform(self.pipeline, LoadImageLabels)
        if loader is None:
            return None
        labels = loader.load(self._metainfo['classes'])
        if image.image_id not in labels:
            return None
        return frozenset(labels.names(image.image_id))


@DATASETS.register_module()
class WeakCOCO14Dataset91(WeakCOCO14Dataset):
    """COCO 2014 over all 90 ids of its category list and the background.

    This is the class list of the released WeakCLIP head; ten of the classes
    never occur.
    """

    METAINFO = dict(classes=CLASSES91, palette=label_colors(len(CLASSES91)))


@DATASETS.register_module()
class COCOObjectDataset(COCOStuffDataset):
    """COCO's 80 classes of objects; everything else is background.

    Reads the masks of COCO-Stuff 164k (``*_labelTrainIds.png``), where 0 to
    79 are objects and 80 to 170 stuff; there is nothing to convert.
    """

    METAINFO = dict(classes=CLASSES, palette=label_colors(len(CLASSES)))

    @classmethod
    def get_label_map(
        cls, new_classes: Sequence[str] | None = None
    ) -> dict[int, int]:
        """Map the ids of COCO-Stuff to the ids of ``classes``.

        Raises:
            ValueError: ``new_classes`` are not COCO's.
        """
        if new_classes and tuple(new_classes) != cls.METAINFO['classes']:
            raise ValueError(
                'COCOObjectDataset has the classes of COCO, in order; its '
                'metainfo cannot name others'
            )
        objects = len(COCO_NAMES)
        ids = range(objects + NUM_STUFF)
        return {old: old + 1 if old < objects else 0 for old in ids}
