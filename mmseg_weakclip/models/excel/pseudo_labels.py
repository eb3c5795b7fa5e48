"""Online pseudo labels of ExCEL (CVPR 2025) and WeCLIP (CVPR 2024).

:class:`ClassMaps` makes maps of an image's own classes; a learnt relation can
change CLIP's dense stream for them (:func:`shift_dense_stream`).
:func:`maps_to_labels` turns the maps into class ids of pixels.
"""

from collections.abc import Sequence
from dataclasses import replace
from inspect import signature

import torch
import torch.nn.functional as F
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.grad_cam import softmax_grad_cam
from mmseg_weakclip.models.cam.patch_text import token_text_similarity
from mmseg_weakclip.models.clip.similarity import positive_softmax
from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.clip.vit import to_map
from mmseg_weakclip.models.refine.cam import background_score, normalize_cam
from mmseg_weakclip.models.refine.par import refine_by_pixels
from mmseg_weakclip.models.transfer import upload


class ClassMaps(nn.Module):
    """Maps of an image's own classes.

    Args:
        num_foreground: Number of foreground classes K - 1, which are the
            first rows of the text.
        affinity: Arguments of :class:`AttentionAffinity`; None leaves it out.
        norm_axis: ``'channel'`` or ``'token'``, as in ExCEL's code; see
            :func:`patch_text_similarity`.
        redundancy: Whether the mean over all texts is subtracted.
        class_token_extremes: Whether the class token's similarity counts
            among the extremes by which a map is normalised, as in ExCEL's
            code.
        min_support: A present class whose similarity does not exceed this on
            any patch is treated as absent: crops can lose objects, and
            min-max would amplify the remaining noise. With ``redundancy``, 0
            is the mean over all texts. None keeps all, as published.
        grad_cam: Arguments of :func:`softmax_grad_cam`, which then replaces
            patch-text similarity (WeCLIP); the four options above do not
            apply to it.
        calibrate: Whether a learnt relation changes the dense stream, as in
            ExCEL; else it only selects the attention maps, as in WeCLIP.
    """

    def __init__(
        self,
        num_foreground: int,
        *,
        affinity: ConfigType | None = None,
        norm_axis: str = 'channel',
        redundancy: bool = True,
        class_token_extremes: bool = False,
        min_support: float | None = 0.0,
        grad_cam: ConfigType | None = None,
        calibrate: bool = True,
    ) -> None:
        super().__init__()
        self.num_foreground = num_foreground
        self.affinity = (
            None if affinity is None else AttentionAffinity(**affinity)
        )
        self.norm_axis = norm_axis
        self.redundancy = redundancy
        self.class_token_extremes = class_token_extremes
        self.min_support = min_support
        check_options(
            'grad_cam', grad_cam, signature(softmax_grad_cam).bind_partial
        )
        self.grad_cam = grad_cam
        self.calibrate = calibrate

    def forward(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
        scores: Tensor | None = None,
        gate: Tensor | None = None,
        *,
        in_view: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return maps of the present classes, and their ids.

        Args:
            tokens: Output of CLIP for the batch.
            text: Embeddings of classes and background words, (M, E).
            labels: Present classes of each image, ids in ``text``.
            scores: Learnt similarity of patches, (B, N, N), which changes
                the dense stream (see :func:`shift_dense_stream`) and, through
                a sigmoid, selects attention maps. None changes nothing.
            gate: Factors in [0, 1] of the maps of all foreground classes,
                (B, K - 1, h, w), before the affinity spreads them. None has
                none.
            in_view: Whether all present classes are known to be visible, as
                in an image that is not cropped; then none is dropped.

        Returns:
            Maps in [0, 1], (B, P, h, w), with P the largest number of
            classes of an image, and their ids (B, P), -1 where an image has
            fewer or a class has no support; such maps are zero.
        """
        relation = None
        if scores is not None:
            relation = scores.sigmoid()
            if self.calibrate:
                tokens = shift_dense_stream(tokens, scores)
        with torch.autocast(text.device.type, enabled=False):
            return self._maps(
                tokens, text.float(), labels, relation, gate, in_view=in_view
            )

    def _maps(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
        relation: Tensor | None,
        gate: Tensor | None,
        *,
        in_view: bool,
    ) -> tuple[Tensor, Tensor]:
        ids = pad_labels(labels, text.device)
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        chosen = rows, ids.clamp(min=0)
        every, token = self._every_map(tokens, text, labels)
        maps = every[chosen]
        checked = self.grad_cam is None and not in_view
        if self.min_support is not None and checked:
            support = maps.amax((-2, -1)) > self.min_support
            ids = ids.masked_fill(~support, -1)
        maps = normalize_cam(
            maps, others=None if token is None else token[chosen]
        )
        if gate is not None:
            maps = maps * gate.float()[chosen]
        if self.affinity is not None:
            maps = self.affinity(maps, tokens, relation, text)
        if self.affinity is not None or gate is not None:
            maps = normalize_cam(maps)
        return maps * (ids >= 0)[..., None, None], ids

    def _every_map(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> tuple[Tensor, Tensor | None]:
        """Return maps of all texts, not normalised, (B, M, h, w).

        With ``class_token_extremes`` the values of the class token follow,
        (B, M, 1).
        """
        if self.grad_cam is None:
            maps, token = token_text_similarity(
                tokens, text, self.norm_axis, redundancy=self.redundancy
            )
            return maps, token if self.class_token_extremes else None
        maps = softmax_grad_cam(
            tokens, text, labels, self.num_foreground, **self.grad_cam
        )
        return maps, None


def pad_labels(
    labels: Sequence[tuple[int, ...]], device: torch.device
) -> Tensor:
    """Arrange sets of labels as a table (B, P), P >= 1, padded with -1."""
    width = max(1, *map(len, labels)) if labels else 1
    table = [[*own, *[-1] * (width - len(own))] for own in labels]
    return upload(torch.tensor(table), device)


def scatter_maps(maps: Tensor, ids: Tensor, num_classes: int) -> Tensor:
    """Arrange maps of present classes as maps of all classes.

    Args:
        maps: Maps of the present classes, (B, P, h, w).
        ids: Class ids of the maps, 0 to num_classes - 1, (B, P); maps with
            -1 are dropped.
        num_classes: Number of all classes.

    Returns:
        (B, num_classes, h, w), zero for absent classes.
    """
    whole = maps.new_zeros(len(maps), num_classes + 1, *maps.shape[2:])
    # Dropped maps go to one more channel, which is cut off.
    rows = ids.masked_fill(ids < 0, num_classes)
    index = rows[..., None, None].expand_as(maps)
    return whole.scatter(1, index, maps)[:, :num_classes]


def maps_to_labels(
    maps: Tensor,
    ids: Tensor,
    images: Tensor,
    background_power: float = 1.0,
    par: ConfigType | None = None,
) -> Tensor:
    """Refine class maps by colour and take the best class of each pixel.

    Args:
        maps: Class maps in [0, 1], (B, P, h, w).
        ids: Class ids of the maps, from 0, (B, P); -1 for none.
        images: RGB on any scale, (B, 3, H, W).
        background_power: Exponent of the background score; see
            :func:`background_score`.
        par: Arguments of :func:`refine_by_pixels`.

    Returns:
        Class ids, background 0 and the classes one higher than in ``ids``,
        (B, H, W).
    """
    maps = F.interpolate(maps, images.shape[-2:], mode='bilinear')
    scores = torch.cat(
        [background_score(maps, power=background_power), maps], 1
    )
    scores = refine_by_pixels(images, scores, **(par or {}))
    # The background comes before empty maps and so wins ties with them.
    table = torch.cat([torch.zeros_like(ids[:, :1]), ids + 1], 1)
    winner = scores.argmax(1)
    return table.gather(1, winner.flatten(1)).view_as(winner)


def ignore_padding(
    labels: Tensor, shapes: Sequence[tuple[int, int]], ignore_index: int
) -> Tensor:
    """Mark padding below and to the right of images as ignored.

    Args:
        labels: Class ids, (B, H, W).
        shapes: Height and width of each image before padding.
        ignore_index: Id of ignored pixels.

    Returns:
        (B, H, W), a new tensor.
    """
    rows = torch.arange(labels.shape[1], device=labels.device)[:, None]
    columns = torch.arange(labels.shape[2], device=labels.device)
    outside = torch.stack(
        [(rows >= shape[0]) | (columns >= shape[1]) for shape in shapes]
    )
    return labels.masked_fill(outside, ignore_index)


def shift_dense_stream(tokens: CLIPTokens, scores: Tensor) -> CLIPTokens:
    """Add a learnt relation to the attention maps of the dense stream.

    ExCEL adds R = softmax of the positive scores to the map of every head in
    every block of the dense path, and runs CLIP once more for it. The dense
    stream is linear in these maps, so the result follows from the first run:
    ``y + value_scale * R @ U``. The class token is not changed.

    Args:
        tokens: Output of CLIP, with a dense path.
        scores: Centred similarity of the patches, (B, N, N).

    Returns:
        The tokens with new patch embeddings.

    Raises:
        ValueError: There is no dense path, or it is not linear.
    """
    if tokens.values is None:
        raise ValueError(
            'a learnt relation changes a dense path: set dense="excel", or '
            'another without a feed-forward part, in CLIPViT; and a model '
            'without a norm behind the attention (EVA-02 has one)'
        )
    relation = positive_softmax(scores)
    first = tokens.prefix
    update = tokens.value_scale * relation @ tokens.values[:, first:]
    patches = (tokens.dense[:, first:] + update).to(tokens.dense)
    return replace(
        tokens,
        patch_embeddings=to_map(tokens.tower.embed(patches), tokens.grid),
    )
