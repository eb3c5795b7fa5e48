"""CAMs as similarity of patches and class texts."""

from collections.abc import Sequence
from functools import partial

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.refine.cam import normalize_cam
from mmseg_weakclip.models.refine.transport import transport_cams
from mmseg_weakclip.models.transfer import upload

from .base import TrainingFreeCAMHead
from .patch_text import (
    check_norm_axis,
    patch_text_similarity,
    token_text_similarity,
)


@MODELS.register_module()
class PatchTextCAMHead(TrainingFreeCAMHead):
    """Patch-text similarity of any dense path as CAMs.

    Args:
        args: Classes, text bank and background, as in
            :class:`TrainingFreeCAMHead`.
        norm_axis: ``'channel'`` or ``'token'``; see
            :func:`patch_text_similarity`.
        redundancy: Whether the mean over all texts is subtracted.
        class_token_extremes: Whether the class token's similarity counts
            among the extremes by which a CAM is normalised, as in ExCEL's
            code.
        transport: Arguments of :func:`transport_cams`, by which the image's
            own classes and the background words then compete for the patches;
            the affinity spreads similarities before that, without boxes. None
            scales each map by its own extremes.
        kwargs: Other arguments of :class:`TrainingFreeCAMHead`.

    Raises:
        ValueError: ``norm_axis`` is not allowed, or ``transport`` comes with
            boxes, superpixels or ``class_token_extremes``.
    """

    def __init__(
        self,
        *args,
        norm_axis: str = 'channel',
        redundancy: bool = True,
        class_token_extremes: bool = False,
        transport: ConfigType | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_norm_axis(norm_axis)
        self.norm_axis = norm_axis
        self.redundancy = redundancy
        self.class_token_extremes = class_token_extremes
        self.transport = transport
        if transport is None:
            return
        check_options(
            'transport',
            transport,
            partial(
                transport_cams,
                torch.zeros(1, 2, 1, 1),
                torch.ones(1, 2, dtype=torch.bool),
            ),
        )
        if self.color_groups is not None:
            raise ValueError(
                'superpixels need CAMs in [0, 1], and transport spreads '
                'similarities: leave one of them out'
            )
        if class_token_extremes:
            raise ValueError(
                'transport has no extremes: leave class_token_extremes out'
            )
        self.score_affinity, self.affinity = self.affinity, None
        spread = self.score_affinity
        if spread is not None and spread.box_threshold is not None:
            raise ValueError(
                'transport spreads similarities, which have no boxes: set '
                'affinity.box_threshold=None'
            )

    def cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Compute :func:`patch_text_similarity` of the classes."""
        return self._similarities(tokens, text)[0]

    def normalized_cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Compute :meth:`cams` and scale them to [0, 1]."""
        if self.transport is not None:
            return self._transported(tokens, text, labels)
        maps, token = self._similarities(tokens, text)
        return normalize_cam(
            maps, others=token if self.class_token_extremes else None
        )

    def _similarities(
        self, tokens: CLIPTokens, text: Tensor
    ) -> tuple[Tensor, Tensor]:
        maps, token = token_text_similarity(
            tokens, text, self.norm_axis, redundancy=self.redundancy
        )
        count = self.num_classes - 1
        return maps[:, :count], token[:, :count]

    def _transported(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Return CAMs for which classes and background words compete."""
        count = self.num_classes - 1
        if len(text) == count:
            raise ValueError(
                'transport needs background words beside the classes, or a '
                'single class would take every patch: set background_words of '
                'the text bank'
            )
        maps = patch_text_similarity(
            tokens, text, self.norm_axis, redundancy=self.redundancy
        )
        if self.score_affinity is not None:
            maps = self.score_affinity(maps, tokens, text=text)
        present = torch.zeros(maps.shape[:2], dtype=torch.bool)
        present[:, count:] = True
        for row, own in zip(present, labels):
            row[list(own)] = True
        present = upload(present, maps.device)
        return transport_cams(maps, present, **self.transport)[:, :count]
