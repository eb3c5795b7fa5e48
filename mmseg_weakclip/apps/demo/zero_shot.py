"""A segmenter from names alone: a frozen CLIP, nothing trained."""

from collections.abc import Sequence

import torch
from mmcv.transforms import Compose
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.names import BACKGROUND

from .segmenter import Segmenter

# Of CLIP's own images, RGB.
MEAN = [122.771, 116.746, 104.094]
STD = [68.501, 66.632, 70.323]
LONG_SIDE = 4096


def build_zero_shot(
    classes: Sequence[tuple[str, ...]],
    background: Sequence[tuple[str, ...]],
    threshold: float | None,
    dense: str,
    model: str,
    pretrained: str,
    templates: str,
    short_side: int,
    window: int | None,
    device: torch.device,
) -> Segmenter:
    """A stock segmentor with a text for each class.

    Args:
        classes: Words of each class.
        background: Words of what else there is.
        threshold: Background is where no class is that probable (0 to 1).
            With neither words nor a threshold there is no background; else
            it has id 0.
        dense: A preset of ``CLIPViT``.
        model: Of open_clip.
        pretrained: Its weights, a tag or a file.
        templates: A template with ``{}``, or the name of a list.
        short_side: Pixels to which an image is resized.
        window: Side of a sliding window, moved by half of it; None for the
            whole image at once.
        device: Where it runs.

    Raises:
        ValueError: A value is not allowed.
        RuntimeError: The weights can't be downloaded.
    """
    init_default_scope('mmseg')
    clip = dict(model=model, pretrained=pretrained)
    has_background = bool(background) or threshold is not None
    test_cfg = ConfigDict(mode='whole')
    if window is not None:
        test_cfg = ConfigDict(
            mode='slide',
            crop_size=(window, window),
            stride=(max(1, window // 2),) * 2,
        )
    segmentor = MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=MEAN,
                std=STD,
                bgr_to_rgb=True,
            ),
            backbone=dict(
                type='CLIPViT', **clip, dense=dense, with_tokens=True
            ),
            decode_head=dict(
                type='PatchTextHead',
                num_classes=len(classes) + has_background,
                threshold=threshold,
                text=dict(
                    type='TemplateText',
                    **clip,
                    names=classes,
                    background_words=background,
                    templates=templates,
                    synonyms='keep',
                ),
            ),
            test_cfg=test_cfg,
        )
    )
    names = ('|'.join(group) for group in classes)
    # Colours are the same with and without a background, which is black.
    palette = label_colors(1 + len(classes))
    return Segmenter(
        model=segmentor.to(device).eval(),
        pipeline=Compose(
            [
                dict(
                    type='Resize',
                    scale=(LONG_SIDE, short_side),
                    keep_ratio=True,
                ),
                dict(type='PackSegInputs'),
            ]
        ),
        classes=(*([BACKGROUND] if has_background else []), *names),
        palette=palette if has_background else palette[1:],
    )
