"""Similarities of image regions and texts, the input of CLIMS's losses.

CLIMS (Xie et al., CVPR 2022) cuts an image X into the object region ``X * P``
and the rest ``X * (1 - P)`` with the activation map P of a class, and
compares each with texts by CLIP. The losses need neither CLIP nor the image.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RegionSimilarities:
    """Cosines of the regions of M pairs (image, class) and their texts.

    Similarities are in [-1, 1], of any floating type. M is 0 where no image
    of the batch has a class, L is 0 where no pair has background texts.

    Attributes:
        images: Index of the pair's image in the batch, int64, (M,).
        labels: Class id of the pair, from 0, int64, (M,).
        object_text: Cosine of object region and class text, (M,).
        rest_text: Cosine of rest and class text, (M,).
        object_background: Cosines of object region and background texts,
            (M, L).
        rest_background: Cosines of rest and background texts, (M, L).
        background_mask: False where a pair has fewer than L texts; the
            cosines there are not read. bool, (M, L).
        maps: Activation maps P of all classes, after a sigmoid,
            (B, K, h, w).
        present: Image labels, bool, (B, K).

    Raises:
        ValueError: A shape does not match the others.
    """

    images: Tensor
    labels: Tensor
    object_text: Tensor
    rest_text: Tensor
    object_background: Tensor
    rest_background: Tensor
    background_mask: Tensor
    maps: Tensor
    present: Tensor

    def __post_init__(self) -> None:
        """Check shapes only: values would have to come from the device."""
        if self.background_mask.ndim != 2 or self.maps.ndim != 4:
            raise ValueError(
                'background_mask must be (M, L) and maps (B, K, h, w), got '
                f'{tuple(self.background_mask.shape)} and '
                f'{tuple(self.maps.shape)}'
            )
        table = self.background_mask.shape
        expected = {
            'images': table[:1],
            'labels': table[:1],
            'object_text': table[:1],
            'rest_text': table[:1],
            'object_background': table,
            'rest_background': table,
            'present': self.maps.shape[:2],
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(
                    f'{name} has the shape {tuple(found)}, but {table[0]} '
                    f'pairs, {table[1]} background texts and maps '
                    f'{tuple(self.maps.shape)} need {tuple(shape)}'
                )
