"""Steps that refine zero-shot logits, against the formulas."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_weakclip.models.refine.par import refine_by_pixels

CROP, STRIDE = (32, 48), (16, 32)
SIZE = (48, 80)
TINY = dict(
    type='TimmFeatures',
    model='vit_tiny_patch16_224',
    pretrained=False,
    source='value',
)


# The pretended device is slow; tests of the formulas use it.
ON_CPU = pytest.mark.parametrize('device', ['cpu'], indirect=True)


@pytest.fixture
def make(device):
    """A zero-shot segmentor of random weights."""

    def make(slide=True, dense='naclip', **options):
        torch.manual_seed(0)
        text = dict(
            type='TemplateText',
            model='toyclip',
            pretrained=None,
            names=('boat', ('bird', 'fish'), 'car'),
            background_words=('sky',),
            synonyms='keep',
        )
        test_cfg = dict(mode='whole')
        if slide:
            test_cfg = dict(
                mode='slide',
                crop_size=CROP,
                stride=STRIDE,
                batch_pixels=4 * 32 * 48,
            )
        made = MODELS.build(
            dict(
                type='ZeroShotSegmentor',
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=[122.771, 116.746, 104.094],
                    std=[68.501, 66.632, 70.323],
                ),
                backbone=dict(
                    type='CLIPViT',
                    model='toyclip',
                    pretrained=None,
                    dense=dense,
                    with_tokens=True,
                ),
                decode_head=dict(
                    type='PatchTextHead', num_classes=4, text=text
                ),
                test_cfg=ConfigDict(test_cfg),
                **options,
            )
        )
        return made.to(device).eval()

    return make


@torch.no_grad()
def run(model, images, **meta):
    size = tuple(images.shape[2:])
    metas = [
        dict(
            ori_shape=size, img_shape=size, img_path=f'photos/{i}.jpg', **meta
        )
        for i in range(len(images))
    ]
    return model.inference(images, metas)


@pytest.fixture
def images(device):
    return torch.randn(2, 3, *SIZE).to(device)


@ON_CPU
@pytest.mark.parametrize('slide', [True, False])
def test_steps_of_nothing_change_nothing(make, images, slide):
    """Neither alpha = 0 nor no iterations; windows are then joined alike."""
    plain = run(make(slide), images)
    still = dict(type='LabelPropagation', alpha=0.0, neighbours=5)
    for refine in (still, [dict(type='PAMR', iterations=0), still]):
        found = run(make(slide, refine=refine), images)
        assert torch.allclose(found, plain, atol=1e-4)


def test_pamr_is_on_the_logits_of_the_image(make, images, device):
    plain = run(make(), images)
    mean = torch.tensor([122.771, 116.746, 104.094], device=device)
    std = torch.tensor([68.501, 66.632, 70.323], device=device)
    colors = images * std[:, None, None] + mean[:, None, None]
    expected = refine_by_pixels(
        colors,
        plain,
        iterations=10,
        dilations=(8, 16),
        width=0.1,
        position_weight=0.0,
        power=1,
        own_colors=True,
    )
    found = run(make(refine=dict(type='PAMR')), images)
    assert torch.allclose(found, expected, atol=1e-3)
    assert not torch.allclose(found, plain, atol=1e-2)


def naive_lposs(logits, features, boxes, grid, alpha, neighbours):
    """Logits (W, M, h, w) of one image, all windows in one graph."""
    places, unit, given = [], [], []
    for (top, left), own, feature in zip(boxes, logits, features):
        for y in range(grid[0]):
            for x in range(grid[1]):
                places.append((top + 8 * y, left + 8 * x))
                given.append(own[:, y, x])
                one = feature[:, y, x]
                unit.append(one / one.norm())
    count = len(places)
    cosines = (torch.stack(unit) @ torch.stack(unit).T).double().tolist()
    rows = []
    for i in range(count):
        row = [
            max(cosines[i][j], 0) ** 3
            * math.exp(-0.01 * math.dist(places[i], places[j]))
            * (i != j)
            for j in range(count)
        ]
        least = sorted(row, reverse=True)[neighbours - 1]
        rows.append([value if value >= least else 0.0 for value in row])
    weights = torch.tensor(rows, dtype=torch.float64)
    weights = weights + weights.T
    scale = weights.sum(1).rsqrt()
    system = torch.eye(count) - alpha * scale[:, None] * weights * scale
    solved = torch.linalg.solve(
        system, (1 - alpha) * torch.stack(given).double()
    )
    return solved.view(len(boxes), *grid, -1).permute(0, 3, 1, 2).float()


@torch.no_grad()
@pytest.mark.parametrize(
    ('device', 'guide'),
    [('cpu', None), ('cpu', TINY), ('cuda', None)],
    indirect=['device'],
)
def test_propagation_spans_all_windows(make, images, guide):
    """Against windows cut by hand and a system that is solved exactly."""
    step = dict(
        type='LabelPropagation',
        guide=guide,
        alpha=0.7,
        neighbours=9,
        iterations=60,
    )
    model = make(refine=step)
    found = run(model, images)
    boxes = [(y, x) for y in (0, 16) for x in (0, 32)]
    windows = [images[..., y : y + 32, x : x + 48] for y, x in boxes]
    logits, features = [], []
    for window in windows:
        tokens = model.backbone(window)
        logits.append(model.decode_head.text_logits(tokens).cpu())
        own = tokens[-1].patch_embeddings
        if guide is not None:
            own = model.refine[0].guide(window)
            own = F.interpolate(own, (4, 6), mode='bilinear')
        features.append(own.float().cpu())
    total, count = torch.zeros(2, 4, *SIZE), torch.zeros(*SIZE)
    for image in range(2):
        solved = naive_lposs(
            [part[image] for part in logits],
            [part[image] for part in features],
            boxes,
            (4, 6),
            0.7,
            9,
        )
        for (y, x), own in zip(boxes, solved):
            large = F.interpolate(own[None], (32, 48), mode='bilinear')[0]
            # Background words come last, and are class 0.
            boat, bird, fish, car, sky = large
            classes = torch.stack([sky, boat, bird.maximum(fish), car])
            total[image, :, y : y + 32, x : x + 48] += classes
            if image == 0:
                count[y : y + 32, x : x + 48] += 1
    assert torch.allclose(found.cpu(), total / count, atol=1e-3)


@ON_CPU
def test_batch_of_one_equals_batch(make, images):
    refine = [dict(type='LabelPropagation', pixels=dict(window=5))]
    model = make(refine=refine)
    together = run(model, images)
    for index in range(2):
        alone = run(model, images[index : index + 1])[0]
        assert torch.allclose(alone, together[index], atol=1e-4)


@ON_CPU
def test_bfloat16_is_close(make, images, device):
    model = make(refine=[dict(type='LabelPropagation', pixels={})])
    exact = run(model, images)
    with torch.autocast(device.type, torch.bfloat16):
        rough = run(model, images)
    assert torch.isfinite(rough).all()
    assert F.cosine_similarity(exact.flatten(), rough.flatten(), 0) > 0.99


@ON_CPU
def test_bad_values(make):
    with pytest.raises(TypeError, match='TimmFeatures.*PAMR'):
        make(refine=[TINY])
    head = dict(
        type='FCNHead', in_channels=4, channels=4, num_classes=2, num_convs=1
    )
    with pytest.raises(ValueError, match='takes a PatchTextHead.*FCNHead'):
        MODELS.build(
            dict(
                type='ZeroShotSegmentor',
                backbone=dict(type='ResNet', depth=18),
                decode_head=head,
            )
        )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(slide=False, windows='joint'), "test_cfg.mode='whole'"),
        (dict(dense='maskclip', windows='joint'), 'their own window at most'),
        (
            dict(
                dense=dict(terms=('attention:3-5',), residual=False),
                windows='joint',
            ),
            'their own window at most',
        ),
        (dict(dense=None, windows='joint'), 'need a dense path'),
        (
            dict(dense='maskclip', regions=dict(folder='.')),
            'set regions.scope=False',
        ),
    ],
)
def test_options_that_would_change_nothing(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_regions_that_vote_need_no_path(make):
    make(dense='maskclip', regions=dict(folder='.', scope=False))
    smooth = dict(preset='maskclip', smooth=dict(after=3))
    make(dense=smooth, regions=dict(folder='.'))
    make(slide=False, regions=dict(folder='.'))
