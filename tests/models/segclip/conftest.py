import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_weakclip.models.segclip.encoder import GroupingCLIPViT
from mmseg_weakclip.models.segclip.head import RegionTextHead

CLIP = dict(model='toyclip', pretrained=None)
GROUP = dict(type='SemanticGroup', channels=128, num_heads=4)


@pytest.fixture
def make_backbone(device):
    """GroupingCLIPViT of toyland's size, random weights, seeded."""

    def make(group: dict | None = None, **kwargs) -> GroupingCLIPViT:
        torch.manual_seed(0)
        kwargs = dict(
            dict(
                **CLIP,
                out_indices=(4,),
                group=dict(GROUP, **(group or {})),
                group_after=5,
                frozen=False,
                with_tokens=True,
            ),
            **kwargs,
        )
        return GroupingCLIPViT(**kwargs).to(device).eval()

    return make


@pytest.fixture
def make_head(device):
    """A head for three words and a background."""

    def make(text: dict | None = None, **kwargs) -> RegionTextHead:
        torch.manual_seed(1)
        bank = dict(
            type='TemplateText',
            **CLIP,
            names=('boat', 'fish', 'house'),
            frozen=False,
        )
        options = dict(
            num_classes=4,
            threshold=0.5,
            contrastive=dict(type='ImageTextContrastiveLoss'),
        )
        options.update(kwargs)
        head = RegionTextHead(text=dict(bank, **(text or {})), **options)
        return head.to(device)

    return make


@pytest.fixture
def caption_samples(device):
    """Samples that carry captions."""

    def make(*captions: str) -> list[SegDataSample]:
        return [
            SegDataSample(metainfo=dict(caption=c, img_path=f'{i}.jpg'))
            for i, c in enumerate(captions)
        ]

    return make
