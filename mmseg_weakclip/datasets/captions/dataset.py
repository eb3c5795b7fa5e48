"""Data set of images with captions."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from mmengine import fileio
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.utils import is_abs
from mmseg.registry import DATASETS

from mmseg_weakclip.datasets.labels.id_lists import read_id_list
from mmseg_weakclip.datasets.labels.image_labels import IMAGE_SUFFIXES
from mmseg_weakclip.datasets.sampler import randomness_of

from .formats import read_captions


def with_suffix(name: str, suffix: str) -> str:
    """Return the name of an image file with a suffix."""
    known = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
    return name if known else name + suffix


@DATASETS.register_module()
class CaptionDataset(BaseDataset):
    """Images with one or several captions each, and no classes.

    A sample starts with ``img_path``, ``img_id`` (the stem of the file),
    ``img_name`` (the file below the folder of the images) and ``caption``.
    Fetched by a :class:`Draw`, its augmentation, and with ``captions='one'``
    the choice of its caption, depend on the draw only.

    Blank captions are left out, with a warning and their number in
    ``num_blank``.

    Args:
        ann_file: File of the captions, in any format of ``read_captions``.
        format: Format of the file; 'auto' finds out.
        reader: Further arguments of the format's reader, such as
            ``dict(split='train')`` of Karpathy's splits.
        captions: 'each' makes every caption a sample; 'one' makes every
            image a sample, with a random one of its captions.
        split_file: List of image ids or files to restrict the data set to.
        img_suffix: Suffix of images of which ``ann_file`` gives the id only.
        missing: What to do if an image file is missing: 'error', or 'skip'
            with a warning and the number of images in ``num_missing``.
        data_prefix: ``img_path``, folder of the images below ``data_root``.
        backend_args: Arguments of mmengine's file backend for the images.
        kwargs: Arguments of mmengine's BaseDataset. There are no classes
            unless ``metainfo`` names some, such as those of a validation
            set.

    Raises:
        FileNotFoundError: The captions or images are missing.
        ValueError: The captions cannot be read, none is left, an image of
            ``split_file`` has none, or an option is unknown.
    """

    METAINFO = dict(classes=())

    def __init__(
        self,
        ann_file: str,
        format: str = 'auto',
        reader: dict[str, Any] | None = None,
        captions: Literal['each', 'one'] = 'each',
        split_file: str = '',
        img_suffix: str = '.jpg',
        missing: Literal['error', 'skip'] = 'error',
        data_prefix: dict[str, str] | None = None,
        backend_args: dict | None = None,
        **kwargs: Any,
    ) -> None:
        for name, value, known in (
            ('captions', captions, ('each', 'one')),
            ('missing', missing, ('error', 'skip')),
        ):
            if value not in known:
                raise ValueError(
                    f'CaptionDataset has {name}={value!r}; it can be '
                    f'{" or ".join(map(repr, known))}.'
                )
        self.format = format
        self.reader = reader or {}
        self.captions = captions
        self.split_file = split_file
        self.img_suffix = img_suffix
        self.missing = missing
        self.backend_args = backend_args
        self.num_blank = 0
        self.num_missing = 0
        super().__init__(
            ann_file=ann_file,
            data_prefix=data_prefix or {'img_path': ''},
            **kwargs,
        )

    def _join_prefix(self) -> None:
        super()._join_prefix()
        if self.split_file and self.data_root and not is_abs(self.split_file):
            self.split_file = fileio.join_path(self.data_root, self.split_file)

    def load_data_list(self) -> list[dict]:
        """Return one entry per caption or image, in the order of the file."""
        texts = self._read()
        if self.split_file:
            texts = self._restrict(texts)
        texts = self._present(texts)
        print_log(
            f'{self.ann_file}: {sum(map(len, texts.values()))} captions of '
            f'{len(texts)} images; {self.num_blank} blank captions and '
            f'{self.num_missing} missing images left out.',
            logger='current',
        )
        folder = self.data_prefix['img_path']
        infos = []
        for name, captions in texts.items():
            info = dict(
                img_path=fileio.join_path(folder, name) if folder else name,
                img_id=PurePosixPath(name).stem,
                img_name=name.lstrip('/'),
            )
            if self.captions == 'one':
                infos.append(dict(info, captions=tuple(captions)))
            else:
                infos += [dict(info, caption=text) for text in captions]
        return infos

    def _read(self) -> dict[str, list[str]]:
        """Return the captions of every image file without blank ones."""
        texts: dict[str, list[str]] = defaultdict(list)
        first_blank = ''
        for image, caption, place in read_captions(
            self.ann_file, self.format, **self.reader
        ):
            if caption.strip():
                name = with_suffix(image, self.img_suffix)
                texts[name].append(caption.strip())
            else:
                first_blank = first_blank or f'{place} ({image})'
                self.num_blank += 1
        if not texts:
            raise ValueError(
                f'{self.ann_file} has no caption'
                + (
                    f': all {self.num_blank} are blank.'
                    if self.num_blank
                    else '.'
                )
            )
        if self.num_blank:
            self._warn(
                f'{self.num_blank} captions are blank and skipped, the first '
                f'is {first_blank}.'
            )
        return dict(texts)

    def _restrict(self, texts: dict[str, list[str]]) -> dict[str, list[str]]:
        """Return the captions of the images in ``split_file``."""
        folder = self.data_prefix['img_path']
        names = list(
            dict.fromkeys(
                image.name + (image.suffix or self.img_suffix)
                for image in read_id_list(self.split_file, folder)
            )
        )
        without = [name for name in names if name not in texts]
        if without:
            raise ValueError(
                f'{len(without)} of {len(names)} images of {self.split_file} '
                f'have no caption in {self.ann_file}, the first is '
                f'{without[0]}.'
            )
        return {name: texts[name] for name in names}

    def _present(self, texts: dict[str, list[str]]) -> dict[str, list[str]]:
        """Return the captions whose image exists; count the others."""
        folder = self.data_prefix['img_path']
        lost = self._lost(folder, list(texts))
        if not lost:
            return texts
        message = (
            f'{len(lost)} of {len(texts)} images of {self.ann_file} are not '
            f'in {folder or "."!r}, the first is {lost[0]}'
        )
        if self.missing == 'error' or len(lost) == len(texts):
            raise FileNotFoundError(
                f'{message}. Look at data_root and data_prefix, or leave them '
                "out with missing='skip'."
            )
        self.num_missing = len(lost)
        self._warn(f'{message}; they are skipped.')
        for name in lost:
            del texts[name]
        return texts

    def _lost(self, folder: str, names: Sequence[str]) -> list[str]:
        # One listing per folder: asking for each file takes minutes on
        # network drives.
        there: dict[str, set[str]] = {}
        lost = []
        for name in names:
            path = fileio.join_path(folder, name) if folder else name
            parent, _, file = path.rpartition('/')
            if parent not in there:
                there[parent] = self._list(parent)
            if file not in there[parent]:
                lost.append(name)
        return lost

    def _list(self, folder: str) -> set[str]:
        folder = folder or '.'
        if not fileio.isdir(folder, self.backend_args):
            return set()
        return set(
            fileio.list_dir_or_file(
                folder, list_dir=False, backend_args=self.backend_args
            )
        )

    def _warn(self, message: str) -> None:
        print_log(
            f'{self.ann_file}: {message}',
            logger='current',
            level=logging.WARNING,
        )

    def get_data_info(self, idx: int) -> dict:
        """Return the dictionary that the pipeline of a sample starts with.

        With ``captions='one'`` it has all captions of the image.
        """
        info = super().get_data_info(int(idx))
        info['seg_fields'] = []
        return info

    def prepare_data(self, idx: int) -> Any:
        """Choose a caption if need be, and run the pipeline."""
        info = self.get_data_info(idx)
        if self.captions == 'one':
            texts = info.pop('captions')
            info['caption'] = texts[np.random.randint(len(texts))]  # noqa: NPY002
        return self.pipeline(info)

    def __getitem__(self, idx: int) -> dict:
        """Return a sample; that of a :class:`Draw` can be repeated."""
        with randomness_of(idx):
            return super().__getitem__(idx)
