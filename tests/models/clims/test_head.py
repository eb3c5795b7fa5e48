import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from real_devices import on_real_devices
from torch import nn

from mmseg_weakclip.models.clims.critic import find_pairs
from mmseg_weakclip.models.clims.head import CLIMSHead
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene

CHANNELS = 5
LOSSES = (
    dict(type='ObjectTextLoss', loss_weight=10.0),
    dict(type='BackgroundTextLoss', loss_weight=24.0),
    dict(type='BackgroundSuppressionLoss', threshold=None),
    dict(type='ActivationAreaLoss', loss_weight=0.2),
)


class TwoTexts(nn.Module):
    """Two background texts for images named 0, one for others."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def forward(self, ids, labels):
        # The device is not waited for to know which texts.
        assert labels.device.type == 'cpu'
        torch.manual_seed(5)
        texts = torch.randn(len(ids), 2, 64, device=self.device)
        mask = torch.ones(len(ids), 2, dtype=torch.bool)
        for row, image_id in zip(mask, ids):
            row[1] = image_id == '0'
        return nn.functional.normalize(texts, dim=-1), mask.to(self.device)


@pytest.fixture
def make_head(device, clip, text_cfg):
    def make(**kwargs):
        torch.manual_seed(0)
        options = dict(text=text_cfg, critic=clip, losses=LOSSES)
        head = CLIMSHead(4, CHANNELS, **{**options, **kwargs})
        nn.init.normal_(head.conv_seg.weight)
        return head.to(device)

    return make


@pytest.fixture
def features(device):
    torch.manual_seed(1)
    return (torch.randn(2, CHANNELS, 5, 7, device=device),)


def test_similarities_are_those_of_the_regions(
    make_head, features, make_samples
):
    head = make_head()
    head.backgrounds = TwoTexts(features[0].device)
    samples = make_samples((1, 3), (2,))
    maps = head(features).sigmoid()
    regions = head.compare(maps, samples)
    assert regions.images.tolist() == [0, 0, 1]
    assert regions.labels.tolist() == [0, 2, 1]
    assert regions.background_mask.tolist() == [[1, 1], [1, 1], [1, 0]]
    images = torch.stack([sample.img.data for sample in samples])
    inside, rest = head.critic(images, maps, find_pairs(regions.present))
    text = head.text()[[0, 2, 1]]
    texts, _ = head.backgrounds(['0', '0', '1'], regions.labels.cpu())
    for pair in range(3):
        for region, own, background in (
            (inside, regions.object_text, regions.object_background),
            (rest, regions.rest_text, regions.rest_background),
        ):
            assert torch.allclose(
                own[pair], region[pair] @ text[pair], atol=1e-5
            )
            assert torch.allclose(
                background[pair], texts[pair] @ region[pair], atol=1e-5
            )


def test_losses_and_gradients(make_head, features, make_samples):
    head = make_head()
    head.backgrounds = TwoTexts(features[0].device)
    losses = head.loss(features, make_samples((1, 3), (2,)), None)
    assert list(losses) == [
        'loss_otm',
        'loss_btm',
        'loss_cbs',
        'loss_reg',
        'cos_object_text',
        'cos_rest_text',
    ]
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert (head.conv_seg.weight.grad.flatten(1).abs().sum(1) > 0).all()
    frozen = [*head.text.parameters(), *head.critic.parameters()]
    assert all(p.grad is None for p in frozen)
    assert not losses['cos_object_text'].requires_grad


def test_without_backgrounds(make_head, features, make_samples):
    losses = make_head().loss(features, make_samples((1,), (2,)), None)
    assert losses['loss_cbs'] == 0
    assert losses['loss_otm'] > 0


@pytest.mark.parametrize('labels', [((), ()), ((1, 2, 3), (1, 2, 3))])
def test_no_label_and_all_labels(make_head, features, make_samples, labels):
    head = make_head()
    head.backgrounds = TwoTexts(features[0].device)
    losses = head.loss(features, make_samples(*labels), None)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(head.conv_seg.weight.grad).all()


@pytest.mark.parametrize('form', ['eq9', 'per_class', 'frc_brc'])
def test_contrast(make_head, features, make_samples, form):
    head = make_head(
        losses=[
            dict(type='InfoNCERegionLoss', form=form),
            dict(type='ActivationAreaLoss'),
        ]
    )
    head.backgrounds = TwoTexts(features[0].device)
    losses = head.loss(features, make_samples((1, 3), (2,)), None)
    losses['loss_nce'].backward()
    assert head.conv_seg.weight.grad.abs().sum() > 0


def test_one_call_for_all_regions(make_head, features, make_samples):
    head = make_head()
    calls = []
    head.critic.tower.module.register_forward_hook(
        lambda module, inputs, output: calls.append(len(inputs[0]))
    )
    head.loss(features, make_samples((1, 3), (2,)), None)
    assert calls == [6]


def test_under_autocast(device, make_head, features, make_samples):
    head = make_head()
    samples = make_samples((1, 3), (2,))
    expected = head.loss(features, samples, None)
    with torch.autocast(device.type, torch.bfloat16):
        losses = head.loss(features, samples, None)
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, expected[name], rtol=0.1, atol=0.02)


@on_real_devices
def test_learns_what_clip_sees(device, make_head):
    """By CLIP's word alone the map of a car comes to lie on the car."""
    scenes = (make_scene(9, index, 96) for index in range(100))
    scene = next(s for s in scenes if len(s.labels) == 1)
    (label,) = scene.labels
    image = torch.from_numpy(scene.image.copy()).permute(2, 0, 1)
    inside = torch.from_numpy(scene.mask.copy() > 0).float()
    inside = nn.functional.adaptive_avg_pool2d(inside[None, None], 12)[0, 0]
    text = dict(
        type='TemplateText',
        model='toyclip',
        pretrained='toyland',
        names=CLASSES,
    )
    torch.manual_seed(0)
    head = CLIMSHead(
        len(CLASSES) + 1,
        144,
        text=text,
        critic=dict(model='toyclip', pretrained='toyland'),
        losses=[
            dict(type='ObjectTextLoss', loss_weight=10.0),
            dict(type='BackgroundTextLoss', loss_weight=24.0),
            dict(type='ActivationAreaLoss', classes='present'),
        ],
    ).to(device)
    sample = SegDataSample(
        metainfo=dict(img_path='0.jpg', image_labels=(label + 1,))
    )
    sample.img = PixelData(data=image.to(device))
    # One feature for each place, so the weights are the map.
    features = torch.eye(144, device=device).view(1, 144, 12, 12)
    nn.init.zeros_(head.conv_seg.weight)
    optimizer = torch.optim.Adam([head.conv_seg.weight], lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        losses = head.loss((features,), [sample], None)
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        optimizer.step()
    found = head((features,))[0, label].sigmoid().detach().cpu()
    on, off = found[inside > 0.5].mean(), found[inside == 0].mean()
    assert on > off + 0.2


def test_over_mit(device, make_samples, clip):
    """Another stock backbone, three classes of one's own, no background."""
    backbone = MODELS.build(
        dict(
            type='MixVisionTransformer',
            embed_dims=8,
            num_layers=[1] * 4,
            num_heads=[1, 2, 5, 8],
        )
    ).to(device)
    assert isinstance(backbone, MixVisionTransformer)
    head = CLIMSHead(
        4,
        64,
        text=dict(type='TemplateText', **clip, names=('mug', 'pen', 'lamp')),
        critic=clip,
        losses=LOSSES,
    ).to(device)
    images = torch.randn(2, 3, 64, 96, device=device)
    losses = head.loss(backbone(images), make_samples((1,), (2, 3)), None)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    used = [p.grad is not None for p in backbone.parameters()]
    assert all(used)


def test_bad_configs(make_head, features, make_samples, text_cfg):
    with pytest.raises(ValueError, match='no losses'):
        make_head(losses=())
    with pytest.raises(ValueError, match='importance_weight=1.0 is for the'):
        make_head(importance_weight=1.0)
    head = make_head(text={**text_cfg, 'names': ('boat', 'car')})
    with pytest.raises(ValueError, match='its text bank has 2 names'):
        head.loss(features, make_samples((1,), (2,)), None)
    samples = make_samples((1,), (2,))
    for sample in samples:
        del sample.img
    with pytest.raises(ValueError, match='WeakSegDataPreProcessor'):
        make_head().loss(features, samples, None)
