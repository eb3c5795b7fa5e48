"""Images, labels and captions that heads read from the samples."""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmseg.utils import SampleList
from torch import Tensor


class MissingLabelsError(ValueError):
    """A head needs the image labels of an image that has none."""


def stack_images(batch_data_samples: SampleList) -> Tensor:
    """Stack the augmented RGB images of a batch.

    Args:
        batch_data_samples: Samples with ``img``.

    Returns:
        In 0..255, uint8 or float32 as the preprocessor says, (B, 3, H, W).

    Raises:
        ValueError: The samples have no images.
    """
    if 'img' not in batch_data_samples[0]:
        raise ValueError(
            'the colours of the images are needed, but the samples have no '
            '`img`: use data_preprocessor=dict(type="WeakSegDataPreProcessor"'
            ', ...)'
        )
    return torch.stack([sample.img.data for sample in batch_data_samples])


def stack_superpixels(batch_data_samples: SampleList) -> Tensor:
    """Stack the superpixels of a batch.

    Args:
        batch_data_samples: Samples with ``superpixels``.

    Returns:
        Ids, int64, (B, H, W); -1 is padding.

    Raises:
        ValueError: A sample has no superpixels, or their sizes differ.
    """
    for sample in batch_data_samples:
        if 'superpixels' not in sample:
            raise ValueError(
                f'{sample.metainfo.get("img_path")} comes without '
                'superpixels: add FelzenszwalbSuperpixels to the pipeline '
                'and pack with PackCaptionInputs'
            )
    maps = [sample.superpixels.data[0] for sample in batch_data_samples]
    sizes = {tuple(ids.shape) for ids in maps}
    if len(sizes) > 1:
        raise ValueError(
            f'the superpixels of a batch have the sizes {sorted(sizes)}: use '
            'data_preprocessor=dict(type="WeakSegDataPreProcessor", ...), '
            'which pads them, or crop to one size'
        )
    return torch.stack(maps)


def captions_of(batch_data_samples: SampleList) -> list[str]:
    """Return the caption of each sample.

    Args:
        batch_data_samples: Samples with ``caption``.

    Raises:
        ValueError: A sample has no caption, or an empty one.
    """
    for sample in batch_data_samples:
        if not (sample.metainfo.get('caption') or '').strip():
            raise ValueError(
                f'{sample.metainfo.get("img_path")} comes without a caption: '
                'use CaptionDataset or WebDatasetCaptions, and pack with '
                'PackCaptionInputs'
            )
    return [sample.caption for sample in batch_data_samples]


def image_ids(batch_data_samples: SampleList) -> list[str]:
    """Return ``img_id`` of each sample, or the stem of its file."""
    return [
        sample.metainfo.get('img_id') or Path(sample.img_path).stem
        for sample in batch_data_samples
    ]


def foreground_labels(
    metas: Sequence[dict], num_classes: int, user: str
) -> list[tuple[int, ...]]:
    """Return image labels as ids of foreground classes, from 0.

    Args:
        metas: Meta information of each image; ``image_labels`` are class
            ids, of which 0 is the background.
        num_classes: Number of classes, background included.
        user: Name of the caller, for the messages.

    Raises:
        MissingLabelsError: An image has no labels.
        ValueError: A label is not the id of a foreground class.
    """
    for meta in metas:
        path = meta.get('img_path', 'an image')
        if 'image_labels' not in meta:
            raise MissingLabelsError(
                f'{path} comes without image labels, which {user} needs: add '
                "LoadImageLabels to the pipeline and 'image_labels' to the "
                'meta_keys of PackSegInputs'
            )
        if not all(0 < label < num_classes for label in meta['image_labels']):
            raise ValueError(
                f'{path} has the image labels {meta["image_labels"]}; '
                f'foreground classes of {user} are 1 to {num_classes - 1}'
            )
    return [
        tuple(label - 1 for label in meta['image_labels']) for meta in metas
    ]


def shown_classes(
    labels: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Return the classes that each image's labels show.

    Args:
        labels: Class ids, (B, H, W).
        num_classes: Number of classes K, with the background.
        ignore_index: Id of ignored pixels.

    Returns:
        bool, (B, K); the background, class 0, is always among them.
    """
    # Ignored pixels are counted in a column that is cut off.
    rows = labels.long().masked_fill(labels == ignore_index, num_classes)
    shown = labels.new_zeros((len(labels), num_classes + 1), dtype=torch.bool)
    shown = shown.scatter(1, rows.flatten(1), value=True)[:, :-1]
    shown[:, 0] = True
    return shown
