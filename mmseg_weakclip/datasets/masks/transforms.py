"""Transforms that load index masks: seeds to train on, truth to score."""

import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    map_mask,
    read_mask,
)


def allowed_ids(results: dict, num_classes: int | None = None) -> set[int]:
    """Return the ids that the mask of a sample may hold before mapping.

    Args:
        results: Sample; its ``label_map`` and ``classes`` are used.
        num_classes: Number of classes; required if the sample has neither.

    Raises:
        ValueError: The number of classes is unknown.
    """
    if results.get('label_map'):
        return set(results['label_map'])
    if num_classes is None:
        if not results.get('classes'):
            raise ValueError(
                f'The classes of {results["img_path"]} are not known: use a '
                'data set of this package or give num_classes=.'
            )
        num_classes = len(results['classes'])
    return set(range(num_classes))


def load_checked_mask(
    results: dict,
    num_classes: int | None = None,
    ignore_index: int = 255,
    backend_args: dict | None = None,
) -> np.ndarray:
    """Read, check and map the mask of a sample.

    Args:
        results: Sample with its image loaded.
        num_classes: Number of classes, for data sets of other packages.
        ignore_index: Id of ignored pixels.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        Class ids of the data set, uint8, (H, W) of the original image.

    Raises:
        ValueError: The mask is damaged, has another size than the image, or
            ids that the data set lacks.
        FileNotFoundError: There is no mask.
    """
    path = results['seg_map_path']
    if 'ori_shape' not in results:
        raise ValueError(f'Load the image before its mask {path}.')
    if results.get('reduce_zero_label'):
        raise ValueError(
            'reduce_zero_label=True would drop the background, which weakly '
            f'supervised training needs; masks like {path} are read as they '
            'are.'
        )
    mask = read_mask(path, backend_args)
    check_mask_size(mask, path, results['ori_shape'][:2], results['img_path'])
    check_mask_ids(mask, path, allowed_ids(results, num_classes), ignore_index)
    return map_mask(mask, results.get('label_map') or {})


@TRANSFORMS.register_module()
class LoadSeed(LoadAnnotations):
    """Load a seed (pseudo mask) as ``gt_seg_map``, and check it.

    Unlike with mmseg's LoadAnnotations, ids that the data set does not know
    are an error. It must come before any Resize or crop.

    Args:
        num_classes: Number of classes, for data sets of other packages.
        allow_empty: Whether all pixels may be ignored.
        ignore_index: Id of ignored pixels.
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        allow_empty: bool = False,
        ignore_index: int = 255,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(backend_args=backend_args)
        self.num_classes = num_classes
        self.allow_empty = allow_empty
        self.ignore_index = ignore_index

    def _load_seg_map(self, results: dict) -> None:
        path = results.get('seg_map_path')
        if path is None:
            raise ValueError(
                f'{results["img_path"]} has no seed: give the folder of the '
                "seeds as data_prefix['seg_map_path']."
            )
        if results.get('img_shape') != results.get('ori_shape'):
            raise ValueError(
                'LoadSeed comes after a transform that changes the size of '
                'the image; put it right after the image is loaded.'
            )
        mask = load_checked_mask(
            results, self.num_classes, self.ignore_index, self.backend_args
        )
        if not self.allow_empty and (mask == self.ignore_index).all():
            raise ValueError(
                f'The seed {path} has only ignored pixels. Take the image '
                'off the list, make its seed again, or set allow_empty=True '
                'of LoadSeed.'
            )
        results['gt_seg_map'] = mask
        results['seg_fields'].append('gt_seg_map')


@TRANSFORMS.register_module()
class LoadTruthIfPresent(LoadAnnotations):
    """Load the true mask for scoring, if there is one.

    A sample without a mask file gets no ``gt_seg_map``. Only a data set in
    test mode may use this transform, so that no training reads pixel truth.

    Args:
        num_classes: Number of classes, for data sets of other packages.
        ignore_index: Id of ignored pixels.
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        ignore_index: int = 255,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(backend_args=backend_args)
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def _load_seg_map(self, results: dict) -> None:
        path = results.get('seg_map_path')
        if path is None:
            return
        if not results.get('test_mode', False):
            raise ValueError(
                f'LoadTruthIfPresent refuses to read {path} outside of a '
                'test loop. Training may not see pixel truth; for seeds use '
                'LoadSeed, for scoring a data set of this package with '
                'test_mode=True.'
            )
        if not fileio.exists(path, self.backend_args):
            return
        results['gt_seg_map'] = load_checked_mask(
            results, self.num_classes, self.ignore_index, self.backend_args
        )
        results['seg_fields'].append('gt_seg_map')
