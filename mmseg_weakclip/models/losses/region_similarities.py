"""What the losses of CLIMS see: similarities of image regions and texts.

CLIMS (Xie et al., CVPR 2022) cuts an image X into the object region ``X * P``
and the rest ``X * (1 - P)`` with the activation map P of a class, and asks
CLIP how like each is to texts. The losses know neither CLIP nor the image.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RegionSimilarities:
    """Cosines of the regions of M pairs (image, class) and their texts.

    Similarities are in [-1, 1], of any floating type. M is 0 where no image
    of the batch has a class, L is 0 where no pair has background texts.

    Attributes:
        images: Place of the pair's image in the batch, int64, (M,).
        labels: The pair's class, from 0, int64, (M,).
        object_text: Object region and the class's text, (M,).
        rest_text: Rest and the class's text, (M,).
        object_background: Object region and the background texts, (M, L).
        rest_background: Rest and the background texts, (M, L).
        background_mask: False where a pair has fewer than L texts; what the
            similarities hold there never matters. bool, (M, L).
        maps: P of all classes, sigmoid activation maps in [0, 1],
            (B, K, h, w).
        present: The image labels, bool, (B, K).

    Raises:
        ValueError: A shape does not fit the others.
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
        """Check shapes alone: values would have to come from the device."""
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
