"""Learnable visual calibration (ExCEL, CVPR 2025, LVC)."""

from dataclasses import replace

import torch
from torch import Tensor

from ..clip import CLIPTokens, positive_softmax
from ..clip.vit import to_map


def shift_dense_stream(tokens: CLIPTokens, scores: Tensor) -> CLIPTokens:
    """Let patches that a learnt relation joins share their values.

    ExCEL adds R = softmax of the positive scores to the map of every head in
    every block of the dense path, and runs CLIP once more for it. The dense
    stream is linear in these maps, so the same comes of what the first run
    has left: ``y + value_scale * R @ U``. The class token takes no part.

    Args:
        tokens: CLIP's view of the batch, with a dense path.
        scores: Centred similarity of the patches, (B, N, N).

    Returns:
        The tokens with other patch embeddings.

    Raises:
        ValueError: There is no dense path, or none that is linear.
    """
    if tokens.values is None:
        raise ValueError(
            'a learnt relation changes a dense path: set dense="excel", or '
            'another without a feed-forward part, in CLIPViT'
        )
    relation = positive_softmax(scores)
    update = tokens.value_scale * relation @ tokens.values[:, 1:]
    patches = tokens.dense[:, 1:] + update
    whole = torch.cat([tokens.dense[:, :1], patches.to(tokens.dense)], 1)
    embedded = tokens.tower.embed(whole)
    return replace(
        tokens, patch_embeddings=to_map(embedded[:, 1:], tokens.grid)
    )
