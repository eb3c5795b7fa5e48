"""Transforms that load an image and its image labels."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmseg.registry import TRANSFORMS

from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.names import (
    BACKGROUND,
    VOCABULARIES,
    split_background,
)
from mmseg_weakclip.datasets.labels.formats import (
    cached_image_labels,
    detect_format,
)
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels

T = TypeVar('T')


def iter_transforms(pipeline: Any) -> Iterator[Any]:
    """Yield all transforms of a pipeline, including those in wrappers."""
    if not isinstance(pipeline, Iterable):
        pipeline = getattr(pipeline, 'transforms', ())
    for transform in pipeline:
        yield transform
        for name in ('transforms', 'subroutines'):
            yield from iter_transforms(getattr(transform, name, ()))


def find_transform(pipeline: Any, kind: type[T]) -> T | None:
    """Return the first transform of a class; None if there is none."""
    for transform in iter_transforms(pipeline):
        if isinstance(transform, kind):
            return transform
    return None


def image_id_of(results: dict) -> str:
    """Return the image id of a sample, the stem of its image file."""
    return Path(results['img_path']).stem


@TRANSFORMS.register_module()
class LoadColorImage(LoadImageFromFile):
    """Load any image file as 3-channel BGR uint8; see ``read_color_image``.

    Grey, RGBA, CMYK, 16-bit, palette and EXIF-rotated files are converted as
    by mmcv's loader. In addition, a damaged or truncated file always raises
    an error with its name, with any release of OpenCV.

    mmseg's inferencer looks for ``LoadImageFromFile`` by its name: a test
    pipeline for the inferencer must keep mmcv's loader.

    Args:
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        super().__init__(backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``.

        Raises:
            ValueError: The file is damaged or not an image.
            FileNotFoundError: The file does not exist.
        """
        image = read_color_image(results['img_path'], self.backend_args)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadImageLabels(BaseTransform):
    """Load the class ids of an image as ``image_labels``.

    The ids index the classes of the data set, so with a background class the
    first object class is 1. Add ``image_labels`` to ``meta_keys`` of
    PackSegInputs to have them on the sample.

    The file is read once per process, at the first image.

    Args:
        ann_file: Label file in any format of ``read_image_labels`` except
            masks, which would be pixel truth. The data sets of this package
            look for it below their ``data_root``.
        classes: Class names that the ids index, or a name of
            ``VOCABULARIES`` (with the background in front); None takes the
            classes of the data set, if it is one of this package.
        allow_empty: Whether an image may have none of the classes.
        subset_of: Foreground classes of the file, or a name of
            ``VOCABULARIES``, where the classes are some of these: labels of
            the others are left out. None: the file may name no others.

    Raises:
        ValueError: There is no vocabulary of this name.
    """

    def __init__(
        self,
        ann_file: str,
        classes: str | Sequence[str] | None = None,
        *,
        allow_empty: bool = False,
        subset_of: str | Sequence[str] | None = None,
    ) -> None:
        for names in (classes, subset_of):
            if isinstance(names, str) and names not in VOCABULARIES:
                raise ValueError(
                    f'Unknown class list {names!r}; there are '
                    f'{sorted(VOCABULARIES)}.'
                )
        if isinstance(classes, str):
            classes = (BACKGROUND, *VOCABULARIES[classes])
        if isinstance(subset_of, str):
            subset_of = VOCABULARIES[subset_of]
        self.subset_of = None if subset_of is None else tuple(subset_of)
        self.ann_file = ann_file
        self.classes = None if classes is None else tuple(classes)
        self.allow_empty = allow_empty
        self._loaded: tuple[tuple[str, ...], ImageLabels] | None = None

    def load(self, classes: Sequence[str] | None) -> ImageLabels:
        """Load all labels, over the foreground classes.

        Args:
            classes: Classes of the data set; required if the transform was
                given none.

        Raises:
            ValueError: The file does not fit the classes, or holds masks.
            FileNotFoundError: The file does not exist.
        """
        classes = tuple(self.classes or classes or ())
        if not classes:
            raise ValueError(
                f'LoadImageLabels({self.ann_file}) does not know the classes: '
                'use a data set of this package or give classes=.'
            )
        if self._loaded is None or self._loaded[0] != classes:
            if detect_format(self.ann_file) == 'masks':
                raise ValueError(
                    f'{self.ann_file} is a folder of masks, which training '
                    'may not read. Derive image labels from them once, with '
                    'tools/dataset_converters/image_labels.py.'
                )
            if self.subset_of is None:
                labels = cached_image_labels(self.ann_file, classes)
            else:
                labels = cached_image_labels(self.ann_file, self.subset_of)
                labels = labels.restricted_to(split_background(classes)[0])
            self._loaded = classes, labels
        return self._loaded[1]

    def labels_of(
        self, image_id: str, classes: Sequence[str] | None
    ) -> tuple[int, ...]:
        """Return the sorted class ids of one image.

        Args:
            image_id: Stem of the image file.
            classes: Classes of the data set; required if the transform was
                given none.

        Raises:
            ValueError: The image has no entry, or an empty one that is not
                allowed; or the file cannot be used, see :meth:`load`.
            FileNotFoundError: The file does not exist.
        """
        _, offset = split_background(self.classes or classes or ())
        indices = self.load(classes)[image_id]
        if not indices and not self.allow_empty:
            raise ValueError(
                f"{self.ann_file} gives image '{image_id}' no class. Take it "
                'off the list, or set allow_empty=True of LoadImageLabels if '
                'it really shows none.'
            )
        return tuple(index + offset for index in indices)

    def transform(self, results: dict) -> dict:
        """Set ``image_labels``; see :meth:`labels_of`."""
        results['image_labels'] = self.labels_of(
            image_id_of(results), results.get('classes')
        )
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(ann_file={self.ann_file!r}, '
            f'classes={self.classes}, allow_empty={self.allow_empty})'
        )
