"""Zero-shot segmenters: a frozen CLIP and class names."""

from collections.abc import Sequence

import torch
from mmcv.transforms import Compose
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.names import BACKGROUND

from .segmenter import Segmenter

# Mean colour of CLIP's training images, RGB.
MEAN = [122.771, 116.746, 104.094]
STD = [68.501, 66.632, 70.323]
LONG_SIDE = 4096
# Sliding windows that go through CLIP together have no more pixels.
BATCH_PIXELS = 2**20


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
    """Build a segmentor that compares patches with a text for each class.

    Args:
        classes: Words of each class.
        background: Words for the background.
        threshold: Probability (0 to 1); pixels where all classes are below it
            are background. Without words and threshold, all pixels get a
            class; otherwise the background has id 0.
        dense: Preset of ``CLIPViT`` for reading patches out of CLIP.
        model: Name of a model of open_clip.
        pretrained: Weights of the model, a tag or a file.
        templates: Prompt template with ``{}``, or the name of a list.
        short_side: Short side to which images are resized, in pixels.
        window: Side of a sliding window in pixels, moved by half of it; None
            for the whole image at once.
        device: Device that the model runs on.

    Raises:
        ValueError: A value is not allowed.
        RuntimeError: The weights cannot be downloaded.
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
            batch_pixels=BATCH_PIXELS,
        )
    segmentor = MODELS.build(
        dict(
            type='ZeroShotSegmentor',
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
    # Class colours do not depend on whether there is a background (black).
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
