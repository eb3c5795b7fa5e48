"""Features of a frozen timm model, beside those of another network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from timm import create_model, is_model
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from mmseg_weakclip.models.clip.vision import (
    CLIP_MEAN,
    CLIP_STD,
    CLIPTower,
)

from .timm_weights import load_own_weights, load_timm_weights

# Parts of the last block's projection that each source adds up.
SOURCES: dict[str, tuple[int, ...]] = {
    'features': (),
    'query': (0,),
    'key': (1,),
    'value': (2,),
    'query+key': (0, 1),
}


class FrozenTimmModel(BaseModule):
    """A frozen timm model beside another network, and that one's images.

    Its weights are loaded when it is built. Checkpoints are without weights
    that can be loaded again.

    Args:
        model: Name of a timm model with ``forward_intermediates``, such as
            ``'vit_base_patch8_224.dino'``: ViTs, convolutional networks.
        pretrained: ``True`` for timm's weights of that name; a file, as of
            :class:`TimmFeatureMaps`; ``False`` or None for random ones.
        mean: Mean that the images are normalised with, RGB, 0..255; they are
            normalised again for the timm model. ``CheckNormalizationHook``
            compares it with that of the preprocessor.
        std: Standard deviation that they are normalised with.
        round_down: Whether images are resized to the whole steps that they
            hold, as in WeCLIP+'s code, or to the nearest number of them.
        level: Block of a ViT, or stage of a convolutional network, that is
            read; negative ones count from the last. Earlier stages are finer.
        scale: Factor of the images' sides before the model sees them.
        source: What of it is read: its ``'features'``; or, of a ViT, the
            ``'query'``, ``'key'`` or ``'value'`` of the block, or the sum
            ``'query+key'``. LPOSS has DINO's values, ProxyCLIP its features.
        model_options: Further arguments of ``timm.create_model``.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: timm's weights would have to be downloaded, and
            their host cannot be reached.
        ValueError: timm has no such model, the model has no such level or
            source, or gives no map of it, the file holds another's weights,
            or the scale is not above 0.
    """

    def __init__(
        self,
        model: str,
        *,
        pretrained: bool | str | None = True,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        round_down: bool = False,
        level: int = -1,
        scale: float = 1.0,
        source: str = 'features',
        model_options: dict | None = None,
    ) -> None:
        super().__init__()
        if source not in SOURCES:
            raise ValueError(
                f'source={source!r} of {type(self).__name__} must be one of '
                f'{tuple(SOURCES)}'
            )
        self.source = source
        self.round_down = round_down
        if not is_model(model.split('.')[0]):
            raise ValueError(
                f'timm has no model {model!r}; timm.list_models("*dino*") '
                'lists some'
            )
        options = dict(model_options or {}, num_classes=0)
        with torch.device('meta'):
            sketch = create_model(model, **options)
            if hasattr(sketch, 'dynamic_img_size'):  # a ViT, for any image
                options['dynamic_img_size'] = True
                sketch = create_model(model, **options)
        count = len(sketch.feature_info)
        if not -count <= level < count:
            raise ValueError(
                f'level={level} of {model!r}, which has {count} of them'
            )
        if scale <= 0:
            raise ValueError(f'scale={scale} of {model!r} must be above 0')
        self.model_name = model
        self.mean, self.std = tuple(mean), tuple(std)
        self.level = level % count
        self.enlargement = scale
        # Patches of a ViT; what a convolutional network shrinks by.
        self.step = sketch.feature_info[level]['reduction']
        _check_source(sketch, model, self.level, source)
        network = create_model(model, **options)
        if pretrained is True:
            load_own_weights(network, model)
        elif pretrained:
            load_timm_weights(network, pretrained)
        settings = resolve_model_data_config(network)
        self.tower = CLIPTower(
            network, frozen=True, reloadable=bool(pretrained)
        )
        theirs = [
            255 * torch.tensor(settings[name]) for name in ('mean', 'std')
        ]
        ours = torch.tensor(self.mean), torch.tensor(self.std)
        scale, shift = ours[1] / theirs[1], (ours[0] - theirs[0]) / theirs[1]
        for name, value in (('scale', scale), ('shift', shift)):
            self.register_buffer(name, value[:, None, None], persistent=False)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return the source of a batch.

        Args:
            images: Images normalised with ``mean`` and ``std``,
                (B, 3, H, W). They are resized to whole steps of the model.

        Returns:
            float32, (B, C, h, w).
        """
        images = images * self.scale + self.shift
        steps = [
            self.enlargement * side / self.step for side in images.shape[-2:]
        ]
        size = [
            max(1, int(count) if self.round_down else round(count)) * self.step
            for count in steps
        ]
        if size != list(images.shape[-2:]):
            images = F.interpolate(images, size, mode='bilinear')
        return _read(self.tower.module, images, self.level, self.source)


def _read(
    network: nn.Module, images: Tensor, level: int, source: str
) -> Tensor:
    """Return the source of a model's level, float32, (B, C, h, w)."""
    projected: list[Tensor] = []
    parts, handle = SOURCES[source], None
    if parts:
        layer = _projection(network, level)
        handle = layer.register_forward_hook(
            lambda module, inputs, output: projected.append(output)
        )
    try:
        (features,) = network.forward_intermediates(
            images,
            indices=[level],
            norm=True,
            stop_early=True,
            intermediates_only=True,
        )
    finally:
        if handle is not None:
            handle.remove()
    if not parts:
        return features.float()
    patches = projected[0][:, network.num_prefix_tokens :].float()
    chunks = patches.chunk(3, 2)
    tokens = torch.stack([chunks[part] for part in parts]).sum(0)
    return tokens.transpose(1, 2).unflatten(2, features.shape[2:])


def _check_source(
    sketch: nn.Module, model: str, level: int, source: str
) -> None:
    """Read a source once on the meta device, where nothing is computed.

    Raises:
        ValueError: The model does not give it.
    """
    if SOURCES[source] and _projection(sketch, level) is None:
        raise ValueError(
            f'source={source!r}: {model} has no joint projection of '
            "queries, keys and values; take source='features', or a plain "
            'ViT such as vit_base_patch16_224.dino'
        )
    size = resolve_model_data_config(sketch)['input_size']
    images = torch.zeros(1, *size, device='meta')
    sketch.eval()
    try:
        with torch.no_grad(), torch.device('meta'):
            shape = _read(sketch, images, level, source).shape
    except Exception as error:  # a model may raise anything
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(
            f'source={source!r} cannot be read from {model}; take '
            "another source, such as 'features', or a plain ViT such as "
            f'vit_base_patch16_224.dino ({reason})'
        ) from error
    if len(shape) != 4:
        raise ValueError(
            f'source={source!r} of {model} is no map, it has the shape '
            f'{tuple(shape)}; choose a plain ViT or a CNN'
        )


def _projection(network: nn.Module, level: int) -> nn.Module | None:
    """Return the layer of a block's queries, keys and values."""
    blocks = getattr(network, 'blocks', None)
    attention = getattr(blocks[level], 'attn', None) if blocks else None
    return getattr(attention, 'qkv', None)


@MODELS.register_module()
class TimmFeatures(FrozenTimmModel):
    """Features of a frozen timm model; see :class:`FrozenTimmModel`."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of images (B, 3, H, W), (B, C, h, w)."""
        return self.encode(images)


@MODELS.register_module()
class GuidedEncoderDecoder(EncoderDecoder):
    """A segmentor whose head also gets the features of another model.

    They come before the backbone's, at index 0: ``CAMHead`` spreads its maps
    over positions where they are alike by ``correlation=dict(levels=(0,))``.
    Heads must count their own features from the last.

    Heads that cannot do without the guide name the option by which they read
    it in ``guide_option``.

    Args:
        args: Arguments of ``EncoderDecoder``.
        guide: Config of a module that turns images (B, 3, H, W) into
            features (B, C, h, w), such as ``TimmFeatures``; None for a plain
            segmentor.
        kwargs: Further arguments of ``EncoderDecoder``.

    Raises:
        ValueError: There is no guide, and the head reads its features.
    """

    def __init__(
        self, *args, guide: ConfigType | None = None, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self.guide = None if guide is None else MODELS.build(guide)
        option = getattr(self.decode_head, 'guide_option', None)
        if guide is None and option is not None:
            raise ValueError(
                f'{option} of {type(self.decode_head).__name__} reads the '
                "features of a second model: set guide=dict(type='TimmFeatures"
                f"', ...) of {type(self).__name__}, or leave it out"
            )

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the guide's features, then those of backbone and neck."""
        own = tuple(super().extract_feat(inputs))
        return own if self.guide is None else (self.guide(inputs), *own)
