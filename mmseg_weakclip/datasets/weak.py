"""Data set of weakly labelled images in any folders."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine import fileio
from mmengine.logging import print_log
from mmengine.utils import is_abs
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_weakclip.common.masks import check_class_count, label_colors
from mmseg_weakclip.common.names import NameIndex, split_background
from mmseg_weakclip.datasets.labels.id_lists import (
    ListedImage,
    drop_repeated,
    read_id_list,
)
from mmseg_weakclip.datasets.masks.folders import check_masks_exist
from mmseg_weakclip.datasets.masks.transforms import LoadSeed

from .held_out import HELD_OUT_SHARE, PARTS, held_out_ids
from .sampler import randomness_of
from .transforms import LoadImageLabels, find_transform, iter_transforms


@DATASETS.register_module()
class WeakSegDataset(BaseSegDataset):
    """Images with image labels and, optionally, seed masks.

    Image labels come from the transform LoadImageLabels, whose file is
    looked for below ``data_root``. Masks, where ``data_prefix`` has a
    ``seg_map_path``, are seeds in a training split (read by LoadSeed) and
    truth in a test split (LoadTruthIfPresent).

    Besides what BaseSegDataset gives, a sample starts with ``img_id`` (the
    stem of its file), ``classes`` and ``test_mode``. Fetched by a
    :class:`Draw`, its augmentation depends on the draw only.

    Args:
        ann_file: List of images, see ``parse_line``; '' takes the whole
            folder.
        data_prefix: ``img_path`` and optionally ``seg_map_path``, folders
            below ``data_root``.
        skip_unlabelled: Whether images to which the label file gives no
            class, or no entry, are left out, with their number in the log.
            If not, they are an error, or all background where
            LoadImageLabels has ``allow_empty``.
        part: ``'fit'`` or ``'held_out'``, to take one part of the images; see
            :func:`held_out_ids`. None takes all.
        held_out_share: Share of the images in the part that is held out.
        check_masks: Whether a listed image without a seed is an error as
            soon as a training split is built. ``tools/check_dataset.py``
            turns it off to report all problems together.
        lazy_init: Whether the list is read later, by ``full_init``.
        kwargs: Arguments of BaseSegDataset. ``metainfo`` must name the
            classes, ``'background'`` first, if the data set has none of its
            own.

    Raises:
        FileNotFoundError: The list, a folder or a seed is missing.
        ValueError: There are no classes or more than masks can hold, two
            classes have the same name, there is no such part, or
            the list cannot be read; with ``skip_unlabelled``, the pipeline
            has no LoadImageLabels, or no image has a label.
    """

    LAYOUT = (
        '<data_root>/<img_path>/<id>.jpg, optionally a list of ids (ann_file) '
        'and seeds <data_root>/<seg_map_path>/<id>.png'
    )

    def __init__(
        self,
        ann_file: str = '',
        data_prefix: dict[str, str] | None = None,
        *,
        skip_unlabelled: bool = False,
        part: str | None = None,
        held_out_share: float = HELD_OUT_SHARE,
        check_masks: bool = True,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        if not {**self.METAINFO, **(kwargs.get('metainfo') or {})}.get(
            'classes'
        ):
            raise ValueError(
                f'{type(self).__name__} does not know its classes: give '
                "metainfo=dict(classes=('background', ...))."
            )
        self.repeated_ids: dict[str, int] = {}
        if part not in (None, *PARTS):
            raise ValueError(f'part={part!r} must be None or one of {PARTS}')
        self.skip_unlabelled = skip_unlabelled
        self.part = part
        self.held_out_share = held_out_share
        self.check_masks = check_masks
        self.skipped_ids: list[str] = []
        # The pipeline must know its files before the images are listed.
        super().__init__(
            ann_file=ann_file,
            data_prefix=data_prefix or {'img_path': ''},
            lazy_init=True,
            **kwargs,
        )
        check_class_count(self._metainfo['classes'])
        for transform in iter_transforms(self.pipeline):
            if isinstance(transform, LoadImageLabels):
                transform.ann_file = self._below_root(transform.ann_file)
        if not lazy_init:
            self.full_init()

    def _below_root(self, path: str) -> str:
        if not self.data_root or is_abs(path):
            return path
        return fileio.join_path(self.data_root, path)

    @property
    def has_seeds(self) -> bool:
        """Whether the pipeline reads the masks as seeds."""
        return find_transform(self.pipeline, LoadSeed) is not None

    @property
    def _trains_on_seeds(self) -> bool:
        return self.has_seeds and not self.test_mode

    def _update_palette(self) -> list:
        if not self._metainfo.get('palette'):
            return label_colors(len(self._metainfo['classes']))
        return super()._update_palette()

    def load_data_list(self) -> list[dict]:
        """Return one entry per image, in the order of the list."""
        foreground, _ = split_background(self._metainfo['classes'])
        NameIndex(foreground)
        self._check_layout()
        images, self.repeated_ids = drop_repeated(self._listed_images())
        if self.repeated_ids:
            print_log(
                f'{self.ann_file}: {len(self.repeated_ids)} images are listed '
                'several times and taken once, the first is '
                f'{next(iter(self.repeated_ids))!r}.',
                logger='current',
                level=logging.WARNING,
            )
        if self.skip_unlabelled:
            images = self._labelled(images)
        if self.part is not None:
            held_out = held_out_ids(
                [image.name for image in images], self.held_out_share
            )
            images = [
                image
                for image in images
                if (image.name in held_out) == (self.part == 'held_out')
            ]
        if self.check_masks and self._trains_on_seeds:
            check_masks_exist(
                [image.name for image in images],
                self.data_prefix['seg_map_path'],
                self.seg_map_suffix,
                self.backend_args,
            )
        self.label_map = self.load_label_map(images)
        self._metainfo['label_map'] = self.label_map
        return [self._data_info(image) for image in images]

    def _labelled(self, images: Sequence[ListedImage]) -> list[ListedImage]:
        """Return the images that have a class; count the others."""
        loader = find_transform(self.pipeline, LoadImageLabels)
        if loader is None:
            raise ValueError(
                f'{type(self).__name__}(skip_unlabelled=True) has no '
                'LoadImageLabels in its pipeline to know the labels from'
            )
        labels = loader.load(self._metainfo['classes'])
        ids = [Path(self.image_path(image)).stem for image in images]
        known = [name in labels and bool(labels[name]) for name in ids]
        self.skipped_ids = [n for n, keep in zip(ids, known) if not keep]
        if len(self.skipped_ids) == len(images):
            raise ValueError(
                f'{loader.ann_file} gives none of the {len(images)} images '
                f'of {self.ann_file or self.data_prefix["img_path"]} a class'
            )
        if self.skipped_ids:
            print_log(
                f'{loader.ann_file} gives {len(self.skipped_ids)} of '
                f'{len(images)} images no class; they are skipped, the first '
                f'is {self.skipped_ids[0]!r}.',
                logger='current',
                level=logging.WARNING,
            )
        return [image for image, keep in zip(images, known) if keep]

    def load_label_map(
        self, images: Sequence[ListedImage]
    ) -> dict[int, int] | None:
        """Return the class id of each mask id; None if they are the same.

        Args:
            images: Images of the data set.
        """
        return self.label_map

    def image_path(self, image: ListedImage) -> str:
        """Return the file of an image."""
        name = image.name + (image.suffix or self.img_suffix)
        return fileio.join_path(self.data_prefix['img_path'], name)

    def mask_path(self, image: ListedImage) -> str | None:
        """Return the file of an image's mask; None without masks."""
        folder = self.data_prefix.get('seg_map_path')
        if not folder:
            return None
        return fileio.join_path(folder, image.name + self.seg_map_suffix)

    def _data_info(self, image: ListedImage) -> dict:
        info = {
            'img_path': self.image_path(image),
            'reduce_zero_label': self.reduce_zero_label,
            'seg_fields': [],
        }
        mask_path = self.mask_path(image)
        if mask_path is not None:
            info['seg_map_path'] = mask_path
        return info

    def _listed_images(self) -> list[ListedImage]:
        folder = self.data_prefix['img_path']
        if self.ann_file:
            return read_id_list(self.ann_file, folder, self.backend_args)
        files = fileio.list_dir_or_file(
            folder,
            list_dir=False,
            suffix=self.img_suffix,
            recursive=True,
            backend_args=self.backend_args,
        )
        names = sorted(name.removesuffix(self.img_suffix) for name in files)
        if not names:
            raise FileNotFoundError(
                f'{folder} holds no *{self.img_suffix} image.'
            )
        return [ListedImage(name) for name in names]

    def _check_layout(self) -> None:
        wanted = {'images': self.data_prefix['img_path']}
        if self.ann_file:
            wanted['list of images'] = self.ann_file
        if self._trains_on_seeds:
            wanted['seeds'] = self.data_prefix.get('seg_map_path', '')
        for what, path in wanted.items():
            if not path or not fileio.exists(path, self.backend_args):
                raise FileNotFoundError(
                    f'{type(self).__name__} finds no {what} at {path!r}. It '
                    f'expects {self.LAYOUT}.'
                )

    def get_data_info(self, idx: int) -> dict:
        """Return the dictionary that the pipeline of an image starts with."""
        info = super().get_data_info(int(idx))
        info['img_id'] = Path(info['img_path']).stem
        info['classes'] = tuple(self._metainfo['classes'])
        info['label_map'] = self.label_map
        info['test_mode'] = self.test_mode
        return info

    def __getitem__(self, idx: int) -> dict:
        """Return a sample; that of a :class:`Draw` can be repeated."""
        with randomness_of(idx):
            return super().__getitem__(idx)
