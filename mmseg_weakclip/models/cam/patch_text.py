"""CAMs and zero-shot logits as similarity of patches and class texts."""

import math
import sys
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.models.clip.text_bank import (
    best_of_class,
    check_open_vocabulary,
)
from mmseg_weakclip.models.clip.tokens import CLIPTokens, find_tokens

from .base import TrainingFreeCAMHead, TrainingFreeHead

NORM_AXES = {'channel': -1, 'token': 1}


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


def patch_text_similarity(
    tokens: CLIPTokens,
    text: Tensor,
    norm_axis: str = 'channel',
    redundancy: bool = False,
) -> Tensor:
    """How well each patch goes with each text.

    Args:
        tokens: CLIP's view of the batch.
        text: Unit length, (M, E).
        norm_axis: What has unit length before the comparison: each token
            over its channels (``'channel'``, cosine similarity), or each
            channel over the tokens (``'token'``, as CLIP Surgery's and
            ExCEL's code does).
        redundancy: Whether the mean over all texts is taken off; see
            :func:`remove_redundancy`.

    Returns:
        (B, M, h, w), float32.

    Raises:
        ValueError: There is no such axis.
    """
    _check_axis(norm_axis)
    patches = tokens.patch_embeddings.flatten(2).transpose(1, 2)
    features = torch.cat([tokens.class_embedding[:, None], patches], 1)
    features = F.normalize(features.float(), dim=NORM_AXES[norm_axis])
    similarity = features @ text.T
    if redundancy:
        similarity = remove_redundancy(similarity, similarity[:, 0])
    grid = tokens.patch_embeddings.shape[2:]
    return similarity[:, 1:].transpose(1, 2).unflatten(2, grid)


def _check_axis(norm_axis: str) -> None:
    if norm_axis not in NORM_AXES:
        raise ValueError(
            f"norm_axis={norm_axis!r} must be 'channel' or 'token'"
        )


@MODELS.register_module()
class PatchTextCAMHead(TrainingFreeCAMHead):
    """Patch-text similarity of any dense path as CAMs.

    Args:
        norm_axis: See :func:`patch_text_similarity`.
        redundancy: See there.
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
        _check_axis(norm_axis)
        self.norm_axis = norm_axis
        self.redundancy = redundancy

    def cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """See :meth:`TrainingFreeCAMHead.cams`."""
        similarity = patch_text_similarity(
            tokens, text, self.norm_axis, self.redundancy
        )
        return similarity[:, : self.num_classes - 1]


@MODELS.register_module()
class PatchTextHead(TrainingFreeHead):
    """Zero-shot segmentation of any list of names.

    Over a ``CLIPViT`` with ``with_tokens=True`` in a stock
    ``EncoderDecoder``, whole or in windows. No labels are needed. The logit
    of a class is ``logit_scale`` times the similarity of the patch to the
    class's text, the best of its texts where the bank keeps synonyms apart.

    The bank names either all K classes or all but a background, class 0.
    Then the background's logit is the largest of what there is of: the
    bank's background words, and ``threshold``, the probability (softmax over
    all texts) that a patch's best text must reach not to be background.

    Args:
        num_classes: K, background included where there is one.
        text: Config of a text bank.
        logit_scale: 40, as SCLIP and those after it have; CLIP's own is 100.
        threshold: In [0, 1]; None for none.
        norm_axis: See :func:`patch_text_similarity`.
        redundancy: See there.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        *args,
        logit_scale: float = 40.0,
        threshold: float | None = None,
        norm_axis: str = 'channel',
        redundancy: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        _check_axis(norm_axis)
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(
                f'threshold={threshold} must be a probability, in [0, 1]'
            )
        if not logit_scale > 0:
            raise ValueError(f'logit_scale={logit_scale} must be above 0')
        self.logit_scale = logit_scale
        self.threshold = threshold
        self.norm_axis = norm_axis
        self.redundancy = redundancy

    def forward(self, inputs: tuple) -> Tensor:
        """Logits of all classes, (B, K, h, w).

        Raises:
            ValueError: CLIP's tokens are missing, the bank has another
                number of names, or nothing says what is background.
        """
        tokens = find_tokens(inputs, type(self).__name__)
        check_open_vocabulary(
            self.text, self.num_classes, self.threshold, type(self).__name__
        )
        text = self.text()
        with torch.autocast(text.device.type, enabled=False):
            logits = self.logit_scale * patch_text_similarity(
                tokens, text.float(), self.norm_axis, self.redundancy
            )
            return self._by_class(logits)

    def _by_class(self, logits: Tensor) -> Tensor:
        """Logits of texts -> logits of classes."""
        names, background = best_of_class(logits, self.text)
        if len(names) == self.num_classes:
            return torch.stack(names, 1)
        if self.threshold is not None:
            # The best text is below the threshold just where it is below
            # this: log p = logit - logsumexp. Not -inf, which is no number
            # any more when maps are resized.
            bar = math.log(max(self.threshold, sys.float_info.min))
            background.append(logits.logsumexp(1) + bar)
        background = torch.stack(background, 1).amax(1)
        return torch.stack([background, *names], 1)
