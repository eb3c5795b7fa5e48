"""Backbone of any timm model that gives feature maps."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from timm.data import resolve_model_data_config
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from .timm_models import (
    build_timm_model,
    feature_maps,
    inspect_timm_model,
)
from .timm_weights import load_own_weights, load_timm_weights


@MODELS.register_module()
class TimmFeatureMaps(BaseModule):
    """Feature maps of a timm model: CNNs, and plain ViTs by their patches.

    Unlike mmseg's ``TIMMBackbone``, it keeps timm's names, so that it takes a
    checkpoint of a whole classifier, and gives the features that the
    classifier sees, after the last convolution or norm.

    Weights are loaded by ``init_weights``, that is before a training only: a
    trained checkpoint has them all.

    Args:
        model_name: Name of a timm model, such as ``'tf_efficientnet_lite0'``.
        pretrained: ``True`` for timm's weights of that name; a file, a state
            dict or safetensors of a classifier or of its backbone; None for
            random weights.
        output_stride: Stride of the last map of a CNN, by dilation; None
            keeps its own, mostly 32.
        out_indices: Levels of timm's ``feature_info``, ascending from the
            image, that are given before the last map. A ViT has one for each
            block.
        last: Whether the features before the model's pooling are given.
        frozen_stages: Number of feature levels, from the image on, whose
            parameters are frozen, and the statistics of their norms. 1 is the
            stem of a CNN, with its first stage where it has no level of its
            own, or the first block of a ViT, with its embeddings. The number
            of a ViT's blocks freezes its last norm, too.
        norm_eval: Whether the statistics of all batch norms are frozen.
        init_cfg: Not used; ``pretrained`` says what to load.

    Attributes:
        channels: Channels of each map.
        strides: Pixels per position of each map.
        mean: Mean that images must be normalised with, RGB, 0..255, which
            ``CheckNormalizationHook`` compares with the preprocessor's.
        std: Standard deviation that they must be normalised with.

    Raises:
        ValueError: timm has no such model, the model has no such stride or
            levels, or it gives no feature maps for images of any size.
    """

    def __init__(
        self,
        model_name: str,
        *,
        pretrained: bool | str | None = None,
        output_stride: int | None = None,
        out_indices: Sequence[int] = (),
        last: bool = True,
        frozen_stages: int = 0,
        norm_eval: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.model_name = model_name
        # Under this name mmseg sets EncoderDecoder(pretrained=...), too.
        self.pretrained = pretrained
        self.out_indices = tuple(out_indices)
        self.last = last
        self.norm_eval = norm_eval
        if list(self.out_indices) != sorted(set(self.out_indices)):
            raise ValueError(
                f'out_indices={self.out_indices} must ascend, without '
                'repetition'
            )
        facts = inspect_timm_model(
            model_name, output_stride, self.out_indices, last=last
        )
        self.channels, self.strides = facts.channels, facts.strides
        self.patch = facts.strides[-1] if facts.is_vit else None
        frozen: frozenset[str] = frozenset()
        if frozen_stages:
            frozen = inspect_timm_model(
                model_name, output_stride, (frozen_stages - 1,), last=False
            ).reached
        self.network = build_timm_model(model_name, output_stride)
        if facts.is_vit and frozen_stages < len(self.network.feature_info):
            # timm applies the last norm to all levels; it is not theirs.
            frozen = frozenset(n for n in frozen if not n.startswith('norm.'))
        settings = resolve_model_data_config(self.network)
        self.mean, self.std = (
            tuple(round(255 * value, 3) for value in settings[key])
            for key in ('mean', 'std')
        )
        for name, parameter in self.network.named_parameters():
            # What no map depends on would have no gradient.
            parameter.requires_grad = (
                name in facts.reached and name not in frozen
            )
        self._frozen_norms = [
            module
            for path, module in self.network.named_modules()
            if isinstance(module, _BatchNorm) and f'{path}.weight' in frozen
        ]

    def init_weights(self) -> None:
        """Load the weights that training starts from.

        Raises:
            FileNotFoundError: There is no such file.
            ConnectionError: timm's weights would have to be downloaded, and
                their host cannot be reached.
            ValueError: The file holds something else than this model's
                weights.
        """
        # timm's models have an init_weights of their own, and have called it.
        if self.pretrained is True:
            load_own_weights(self.network, self.model_name)
        elif self.pretrained:
            load_timm_weights(self.network, self.pretrained)
        self._is_init = True

    def train(self, mode: bool = True) -> 'TimmFeatureMaps':  # noqa: FBT001, FBT002
        """Set the mode; frozen norms stay in evaluation mode."""
        super().train(mode)
        norms = self._frozen_norms
        if self.norm_eval:
            norms = [
                module
                for module in self.network.modules()
                if isinstance(module, _BatchNorm)
            ]
        for module in norms:
            module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return maps of a batch.

        Args:
            images: Images, normalised with ``mean`` and ``std``,
                (B, 3, H, W). For a ViT they are resized to whole patches.

        Returns:
            Maps (B, C, h, w): those of ``out_indices``, then the last.
        """
        if self.patch is not None:
            size = [
                max(1, round(side / self.patch)) * self.patch
                for side in images.shape[2:]
            ]
            if size != list(images.shape[2:]):
                images = F.interpolate(
                    images, size, mode='bilinear', align_corners=False
                )
        return tuple(
            feature_maps(
                self.network, images, self.out_indices, last=self.last
            )
        )
