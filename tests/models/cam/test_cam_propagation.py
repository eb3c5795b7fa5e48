"""Label propagation of tagged CAMs, and sources of its guide."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.cam.patch_text_cam import PatchTextCAMHead
from mmseg_weakclip.models.cam.timm_affinity import (
    ProxyTokenAffinity,
    TimmAffinity,
)
from mmseg_weakclip.models.cam.timm_features import TimmFeatures
from mmseg_weakclip.models.refine.cam import normalize_cam
from mmseg_weakclip.models.refine.label_propagation import (
    grid_places,
    propagate_maps,
)
from mmseg_weakclip.models.refine.pixel_correlation import pick_levels

TINY = 'vit_tiny_patch16_224'
ON_CPU = pytest.mark.parametrize('device', ['cpu'], indirect=True)


@torch.no_grad()
@pytest.mark.parametrize('levels', [None, (0,)])
def test_cams_are_spread(text_cfg, make_features, make_metas, device, levels):
    """Over CLIP's patches, or over the features of another model."""

    def make(**options):
        torch.manual_seed(1)
        head = PatchTextCAMHead(4, text_cfg, dict(threshold=0.3), **options)
        return head.to(device).eval()

    inputs = make_features(dense='naclip')
    guide = torch.randn(2, 6, 10, 14, device=device)
    options = dict(alpha=0.7, neighbours=9)
    if levels is not None:
        inputs, options['levels'] = (guide, *inputs), levels
    found = make(propagation=options)(inputs)
    features = inputs[-1].patch_embeddings
    if levels is not None:
        features = F.adaptive_avg_pool2d(guide, (5, 7))
    unit = F.normalize(features.flatten(2).transpose(1, 2), dim=2)
    spread = propagate_maps(
        make()(inputs), unit, grid_places((5, 7), 8), 0.7, neighbours=9
    )
    assert torch.allclose(found, normalize_cam(spread), atol=1e-5)
    scores = make(propagation={}).predict(inputs, make_metas((1,), (2, 3)), {})
    assert scores.shape == (2, 4, 40, 56)
    # Still of the image's own classes only.
    assert not scores[0, 2:].any()


@torch.no_grad()
@pytest.mark.parametrize(
    ('guided', 'levels', 'message'),
    [
        (False, (0,), "gives CLIP's own map alone: set type='GuidedEncoder"),
        (True, (5,), r'propagation has levels=\(5,\), .* only 2 features'),
    ],
)
def test_levels_that_are_not_there(
    text_cfg, make_features, device, guided, levels, message
):
    head = PatchTextCAMHead(
        4, text_cfg, dict(threshold=0.3), propagation=dict(levels=levels)
    ).to(device)
    inputs = make_features(dense='naclip')
    if guided:
        inputs = (torch.randn(2, 6, 10, 14, device=device), *inputs)
    with pytest.raises(ValueError, match=message):
        head(inputs)


def test_levels_that_a_backbone_does_not_have():
    maps = [torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)]
    assert pick_levels(maps, (-1, 0), 'correlation') == maps[::-1]
    for levels in ((0, 2), (-3,)):
        with pytest.raises(ValueError, match='has levels=.* only 2 fea'):
            pick_levels(maps, levels, 'correlation')


@torch.no_grad()
@ON_CPU
@pytest.mark.parametrize(
    'source', ['query', 'key', 'value', 'query+key', 'features']
)
def test_sources_of_a_vit(device, source):
    torch.manual_seed(0)
    model = TimmFeatures(TINY, pretrained=False, source=source).to(device)
    images = torch.randn(2, 3, 48, 80, device=device)
    found = model(images)
    network = model.tower.module
    tokens = network.forward_intermediates(
        images * model.scale + model.shift,
        indices=[10, 11],
        intermediates_only=True,
        output_fmt='NLC',
        return_prefix_tokens=True,
    )
    before = torch.cat([tokens[0][1], tokens[0][0]], 1)
    attn = network.blocks[11].attn
    query, key, value = attn.qkv(network.blocks[11].norm1(before)).chunk(3, 2)
    last = network.norm(tokens[1][0])
    expected = {
        'query': query[:, 1:],
        'key': key[:, 1:],
        'value': value[:, 1:],
        'query+key': (query + key)[:, 1:],
        'features': last,
    }[source]
    assert torch.allclose(
        found.flatten(2).transpose(1, 2), expected, atol=1e-4
    )


def test_sources_that_are_not_there():
    with pytest.raises(ValueError, match="source='values' of TimmFeatures"):
        TimmFeatures(TINY, pretrained=False, source='values')
    with pytest.raises(ValueError, match='resnet18 has no joint projection'):
        TimmFeatures('resnet18', pretrained=False, source='key')


@torch.no_grad()
@ON_CPU
@pytest.mark.parametrize('positive', [True, False])
def test_rows_are_those_of_the_whole_map(device, positive):
    torch.manual_seed(0)
    affinity = TimmAffinity(TINY, pretrained=False, positive=positive)
    features = torch.randn(2, 12, 5, device=device)
    whole = affinity.relate(features, features)
    rows = affinity.relate(features[:, 4:9], features, 4, 3)
    assert torch.allclose(rows, whole[:, 4:9], atol=1e-6)
    assert (whole > 0).all() != positive


@torch.no_grad()
def test_proxies_are_their_formula(device):
    """GLA-CLIP's row, patch by patch."""
    torch.manual_seed(0)
    model = ProxyTokenAffinity(TINY, pretrained=False, limit=0.3)
    features = torch.randn(2, 12, 4)
    found = model.relate(
        features[:, 3:8].to(device), features.to(device), 3, 4
    ).cpu()
    beta = 1 + 0.3 * torch.log(torch.tensor(5.0))
    for image in range(2):
        unit = features[image] / features[image].norm(dim=1, keepdim=True)
        for row in range(5):
            proxy = unit[3 + row]
            for _ in range(2):
                cosines = [
                    float(proxy @ other / proxy.norm()) for other in unit
                ]
                members = [u for u, c in zip(unit, cosines) if c > 0.3]
                proxy = torch.stack(members).mean(0)
            cosine = unit @ proxy / proxy.norm()
            mean = cosine.mean().clamp(min=0)
            scores = (1 + 30 / len(members)) * (cosine - beta * mean)
            least = min(float(scores.max()), 0)
            scores[scores < least] = -torch.inf
            assert torch.allclose(
                found[image, row], scores.softmax(0), atol=1e-5
            )
