"""CAMs as similarity of patches and class texts."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..clip import CLIPTokens
from .base import TrainingFreeCAMHead


def remove_redundancy(similarity: Tensor, class_similarity: Tensor) -> Tensor:
    """Subtract what a patch has in common with every text.

    CLIP Surgery's feature surgery without its (B, N, M, E) tensor: texts are
    weighted by how much the whole image speaks of them, and the mean over
    the texts is taken off.

    Args:
        similarity: Of N patches and M texts, (B, N, M).
        class_similarity: Of the image and the texts, (B, M).

    Returns:
        (B, N, M).
    """
    weights = (2 * class_similarity).softmax(-1)
    weights = weights / weights.mean(-1, keepdim=True)
    weighted = similarity * weights[:, None]
    return weighted - weighted.mean(-1, keepdim=True)


@MODELS.register_module()
class PatchTextCAMHead(TrainingFreeCAMHead):
    """Patch-text similarity of any dense path as CAMs.

    Args:
        norm_axis: What has unit length before the comparison: each token
            over its channels (``'channel'``, cosine similarity), or each
            channel over the tokens (``'token'``, as CLIP Surgery's and
            ExCEL's code does).
        redundancy: Whether the mean over all texts is taken off; see
            :func:`remove_redundancy`.
        kwargs: See :class:`TrainingFreeCAMHead`.
    """

    def __init__(
        self,
        *args,
        norm_axis: str = 'channel',
        redundancy: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if norm_axis not in ('channel', 'token'):
            raise ValueError(
                f"norm_axis={norm_axis!r} must be 'channel' or 'token'"
            )
        self.norm_dim = {'channel': -1, 'token': 1}[norm_axis]
        self.redundancy = redundancy

    def cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """See :meth:`TrainingFreeCAMHead.cams`."""
        patches = tokens.patch_embeddings.flatten(2).transpose(1, 2)
        features = torch.cat([tokens.class_embedding[:, None], patches], 1)
        features = F.normalize(features.float(), dim=self.norm_dim)
        similarity = features @ text.T
        if self.redundancy:
            similarity = remove_redundancy(similarity, similarity[:, 0])
        classes = similarity[:, 1:, : self.num_classes - 1]
        return classes.transpose(1, 2).unflatten(2, tokens.grid)
