"""Similarity of patches and class texts, and zero-shot logits of it."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_weakclip.models.clip.text_bank import check_open_vocabulary
from mmseg_weakclip.models.clip.tokens import CLIPTokens, find_tokens

from .base import TrainingFreeHead

NORM_AXES = {'channel': -1, 'token': 1}
# Values of resized text logits at a time: 64 MB in single precision.
ROOM = 2**24


def remove_redundancy(similarity: Tensor, class_similarity: Tensor) -> Tensor:
    """Subtract the similarity that a patch has with every text.

    Feature surgery of CLIP Surgery without its (B, N, M, E) tensor: texts are
    weighted by their similarity to the whole image, and the mean over the
    texts is subtracted.

    Args:
        similarity: Similarities of N patches and M texts, (B, N, M).
        class_similarity: Similarities of the image and the texts, (B, M).

    Returns:
        (B, N, M).
    """
    weights = (2 * class_similarity).softmax(-1)
    weights = weights / weights.mean(-1, keepdim=True)
    weighted = similarity * weights[:, None]
    return weighted - weighted.mean(-1, keepdim=True)


def token_text_similarity(
    tokens: CLIPTokens,
    text: Tensor,
    norm_axis: str = 'channel',
    *,
    redundancy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the similarities of patches and of the class token to texts.

    Args:
        tokens: Output of CLIP.
        text: Unit text embeddings, (M, E).
        norm_axis: Axis of the normalisation before the comparison: each
            token has unit length (``'channel'``, cosine similarity), or
            each channel over the tokens (``'token'``, as in the code of CLIP
            Surgery and ExCEL).
        redundancy: Whether the mean over all texts is subtracted; see
            :func:`remove_redundancy`.

    Returns:
        Those of the patches, (B, M, h, w), and of the class token, (B, M, 1),
        both float32.

    Raises:
        ValueError: ``norm_axis`` is not allowed.
    """
    check_norm_axis(norm_axis)
    patches = tokens.patch_embeddings.flatten(2).transpose(1, 2)
    features = torch.cat([tokens.class_embedding[:, None], patches], 1)
    features = F.normalize(features.float(), dim=NORM_AXES[norm_axis])
    similarity = features @ text.T
    if redundancy:
        similarity = remove_redundancy(similarity, similarity[:, 0])
    similarity = similarity.transpose(1, 2)
    grid = tokens.patch_embeddings.shape[2:]
    return similarity[..., 1:].unflatten(2, grid), similarity[..., :1]


def patch_text_similarity(
    tokens: CLIPTokens,
    text: Tensor,
    norm_axis: str = 'channel',
    *,
    redundancy: bool = False,
) -> Tensor:
    """Return the similarity of each patch to each text, (B, M, h, w).

    See :func:`token_text_similarity`.
    """
    return token_text_similarity(
        tokens, text, norm_axis, redundancy=redundancy
    )[0]


def check_norm_axis(norm_axis: str) -> None:
    """Raise a ``ValueError`` for what is no key of ``NORM_AXES``."""
    if norm_axis not in NORM_AXES:
        raise ValueError(
            f"norm_axis={norm_axis!r} must be 'channel' or 'token'"
        )


def resized_parts(
    logits: Tensor, resize: Callable[[Tensor], Tensor], room: int = ROOM
) -> Iterator[Tensor]:
    """Resize logits a few texts at a time.

    Args:
        logits: Logits of M texts, (B, M, h, w).
        resize: Function that resizes maps (B, m, h, w) to (B, m, H, W).
        room: Number of values that a part may have; one text at least.

    Yields:
        Parts (B, m, H, W) of all texts in order, the first of one text.
    """
    first = resize(logits[:, :1])
    yield first
    step = max(1, room // first.numel())
    for part in logits[:, 1:].split(step, 1):
        yield resize(part)


@MODELS.register_module()
class PatchTextHead(TrainingFreeHead):
    """Zero-shot segmentation by any list of names.

    It works over a ``CLIPViT`` with ``with_tokens=True`` in a stock
    ``EncoderDecoder``, whole or in windows. No labels are needed. The logit
    of a class is ``logit_scale`` times the similarity of the patch to the
    class's text, or to the best of its texts with ``synonyms='keep'``.

    The bank names either all K classes or all but a background, class 0.
    Then the background's logit is the maximum over the bank's background
    words and, if given, ``threshold``: pixels whose best text has a lower
    probability (softmax over all texts) are background.

    Args:
        args: Number of classes, with the background if there is one, and
            config of a text bank.
        logit_scale: Factor of the similarities: 40, as in SCLIP and later
            methods; CLIP's own is 100.
        threshold: Probability in [0, 1] below which pixels are background,
            or None.
        norm_axis: ``'channel'`` or ``'token'``; see
            :func:`patch_text_similarity`.
        redundancy: Whether the mean over all texts is subtracted.
        kwargs: Other arguments of :class:`TextHead`.

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
        check_norm_axis(norm_axis)
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
        """Return logits of all classes at the patches, (B, K, h, w).

        Args:
            inputs: Output of the backbone, tokens last.

        Raises:
            ValueError: CLIP's tokens are missing, or the names do not match
                the classes; see :func:`check_open_vocabulary`.
        """
        logits = self.text_logits(inputs)
        with torch.autocast(logits.device.type, enabled=False):
            return self._by_class([logits])

    def predict(
        self, inputs: tuple, batch_img_metas: list[dict], test_cfg: ConfigType
    ) -> Tensor:
        """Predict logits at the size of the network's input, (B, K, H, W).

        Args:
            inputs: Output of the backbone.
            batch_img_metas: Meta information with the size of the input.
            test_cfg: Not used.

        Raises:
            ValueError: See :meth:`forward`.
        """
        return self.classify(self.text_logits(inputs), batch_img_metas)

    def classify(self, logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Turn logits of texts at the patches into those of classes.

        Logits of texts are resized before the best text of a class and the
        background are found, pixel by pixel, as in the code of SCLIP and
        later methods. (Between two patches, the best text may be one that is
        best at neither.) A few texts at a time: besides the result, the
        memory does not grow with their number.

        Args:
            logits: Of :meth:`text_logits`, (B, M, h, w).
            batch_img_metas: Meta information with the size of the input.

        Returns:
            (B, K, H, W).
        """
        resize = partial(self.predict_by_feat, batch_img_metas=batch_img_metas)
        with torch.autocast(logits.device.type, enabled=False):
            return self._by_class(resized_parts(logits, resize))

    def text_logits(self, inputs: tuple) -> Tensor:
        """Return logits of the M texts at the patches, (B, M, h, w).

        Args:
            inputs: Output of the backbone, tokens last.

        Raises:
            ValueError: See :meth:`forward`.
        """
        tokens = find_tokens(inputs, type(self).__name__)
        check_open_vocabulary(
            self.text, self.num_classes, self.threshold, type(self).__name__
        )
        text = self.text()
        with torch.autocast(text.device.type, enabled=False):
            return self.logit_scale * patch_text_similarity(
                tokens,
                text.float(),
                self.norm_axis,
                redundancy=self.redundancy,
            )

    def _by_class(self, parts: Iterable[Tensor]) -> Tensor:
        """Turn logits of texts into logits of classes.

        Args:
            parts: The logits of all texts in order, some at a time,
                (B, m, H, W).

        Returns:
            (B, K, H, W).
        """
        owners = iter(self._owners())
        result, everything, begun = None, None, set()
        for part in parts:
            if result is None:
                # Not len(part), of which a trace would make a number.
                shape = (part.shape[0], self.num_classes, *part.shape[2:])
                result = part.new_empty(shape)
            for row, owner in zip(part.unbind(1), owners):
                if owner in begun:
                    row = torch.maximum(result[:, owner], row)
                result[:, owner] = row
                begun.add(owner)
            if self.threshold is not None:
                total = part.logsumexp(1)
                if everything is not None:
                    total = torch.logaddexp(everything, total)
                everything = total
        if everything is not None:
            # log p = logit - logsumexp, so the best text is below the
            # threshold where it is below this. Finite, since resizing maps
            # would turn -inf into NaN.
            lowest = max(self.threshold, sys.float_info.min)
            bar = everything + math.log(lowest)
            if 0 in begun:
                bar = torch.maximum(result[:, 0], bar)
            result[:, 0] = bar
        return result

    def _owners(self) -> list[int]:
        """Return the class of each text; background words belong to 0."""
        names = len(self.text)
        first = self.num_classes - names
        return [
            first + index if index < names else 0
            for index, rows in enumerate(self.text.rows_per_class)
            for _ in range(rows)
        ]
