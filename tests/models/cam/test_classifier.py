import pytest
import torch
import torch.nn.functional as F
from mmseg.models.backbones import MixVisionTransformer
from mmseg.structures import SegDataSample

from mmseg_weakclip.models.cam.classifier import CAMHead, multi_hot
from mmseg_weakclip.models.cam.importance import sampled_logits
from mmseg_weakclip.models.refine.label_propagation import (
    grid_places,
    propagate_labels,
    propagation_graph,
)
from mmseg_weakclip.models.refine.pixel_correlation import (
    correlate_maps,
    unit_features,
)

CHANNELS = 5
SIZE = (40, 56)


@pytest.fixture
def head(device):
    torch.manual_seed(0)
    head = CAMHead(4, CHANNELS, background=dict(threshold=0.3))
    head.init_weights()
    torch.nn.init.normal_(head.conv_seg.weight)
    return head.to(device)


@pytest.fixture
def features(device):
    torch.manual_seed(1)
    return (torch.randn(2, CHANNELS, 5, 7, device=device),)


def make_samples(metas):
    return [SegDataSample(metainfo=meta) for meta in metas]


def test_multi_hot():
    table = multi_hot([(0, 2), (), (1,)], 3)
    assert table.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert table.dtype == torch.bool


def test_maps_are_the_classifier_at_every_place(head, features):
    """The mean of the maps is the classifier on the mean feature."""
    pooled = features[0].mean((2, 3))
    expected = pooled @ head.conv_seg.weight[:, :, 0, 0].T
    maps = head(features)
    assert maps.shape == (2, 3, 5, 7)
    assert torch.allclose(maps.mean((2, 3)), expected, atol=1e-6)


def test_loss_is_its_formula(head, features, make_metas):
    samples = make_samples(make_metas((1, 3), (2,)))
    losses = head.loss(features, samples, None)
    logits = head(features).mean((2, 3))
    target = torch.tensor([[1, 0, 1], [0, 1, 0]], device=logits.device)
    positive = target * F.logsigmoid(logits)
    negative = (1 - target) * F.logsigmoid(-logits)
    expected = -(positive + negative).mean()
    assert torch.allclose(losses['loss_label'], expected, atol=1e-6)
    agree = ((logits > 0) == target).float().mean() * 100
    assert torch.allclose(losses['acc_label'], agree)
    losses['loss_label'].backward()
    # More of what an image has, less of what it lacks.
    weight = head.conv_seg.weight
    assert weight.grad.abs().sum() > 0


def test_learns_labels(device, make_metas):
    """Two kinds of images are told apart, and where they differ."""
    head = CAMHead(3, 2).to(device)
    head.init_weights()
    features = torch.zeros(2, 2, 4, 4, device=device)
    features[0, 0, :2] = 1
    features[1, 1, 2:] = 1
    samples = make_samples(make_metas((1,), (2,)))
    optimizer = torch.optim.SGD(head.parameters(), lr=5)
    for _ in range(50):
        optimizer.zero_grad()
        losses = head.loss((features,), samples, None)
        losses['loss_label'].backward()
        optimizer.step()
    assert losses['acc_label'] == 100
    with torch.no_grad():
        maps = head.predict_maps((features,), make_metas((1,), (2,)))
    assert (maps[0, 0] > 0)[:10].all()
    assert (maps[0, 0, 30:] == 0).all()
    assert (maps[1, 1, 30:] > 0).all()


@torch.no_grad()
def test_scores(head, features, make_metas):
    """Positive, of own classes alone, divided by their maximum."""
    metas = make_metas((1, 3), (2,), size=SIZE)
    scores = head.predict(features, metas, None)
    assert scores.shape == (2, 4, *SIZE)
    assert (scores[:, 0] == 0.3).all()
    maps = F.interpolate(
        head(features).relu(), SIZE, mode='bilinear', align_corners=False
    )
    for image, own in enumerate([(0, 2), (1,)]):
        for label in range(3):
            expected = maps[image, label] / maps[image, label].max()
            if label not in own:
                expected = torch.zeros_like(expected)
            assert torch.allclose(
                scores[image, 1 + label], expected, atol=1e-5
            )


@torch.no_grad()
def test_batch_equals_image_by_image(head, features, make_metas):
    metas = make_metas((1, 3), (2,), size=SIZE)
    together = head.predict(features, metas, None)
    alone = [
        head.predict((features[0][i : i + 1],), metas[i : i + 1], None)
        for i in range(2)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


@torch.no_grad()
def test_maps_as_they_come(head, features, make_metas):
    metas = make_metas((1, 3), (), size=SIZE)
    head.predicts = 'maps'
    maps = head.predict(features, metas, None)
    assert (maps[:, 0] == 0).all()
    assert torch.equal(maps[:, 1:], head.predict_maps(features, metas))
    assert (maps[1] == 0).all()
    assert torch.isfinite(head.to_scores(maps[:, 1:])).all()


def test_over_another_stock_backbone(make_metas):
    backbone = MixVisionTransformer(
        embed_dims=8, num_layers=[1] * 4, num_heads=[1, 2, 5, 8]
    )
    head = CAMHead(4, 64)
    images = torch.randn(2, 3, 64, 96)
    samples = make_samples(make_metas((1,), (2, 3)))
    head.loss(backbone(images), samples, None)['loss_label'].backward()
    assert all(p.grad is not None for p in head.parameters())


def test_labels_must_be_there(head, features):
    with pytest.raises(ValueError, match='a.jpg comes without image labels'):
        head.predict(features, [dict(img_path='a.jpg', img_shape=SIZE)], None)
    bad = make_samples([dict(img_path='b.jpg', image_labels=(4,))] * 2)
    with pytest.raises(ValueError, match=r'b.jpg has the image labels \(4,\)'):
        head.loss(features, bad, None)


def test_importance_loss_is_its_formula(device, features, make_metas):
    """The same loss of the labels, on logits at drawn positions."""
    head = CAMHead(4, CHANNELS, importance_weight=0.5).to(device)
    samples = make_samples(make_metas((1, 3), (2,)))
    torch.manual_seed(3)
    losses = head.loss(features, samples, None)
    torch.manual_seed(3)
    logits = sampled_logits(head(features).float())
    target = torch.tensor([[1, 0, 1], [0, 1, 0]], device=device).float()
    expected = F.binary_cross_entropy_with_logits(logits, target)
    assert torch.allclose(losses['loss_importance'], 0.5 * expected)
    plain = CAMHead(4, CHANNELS).to(device)
    plain.load_state_dict(head.state_dict())
    alone = plain.loss(features, samples, None)
    assert 'loss_importance' not in alone
    assert torch.equal(alone['loss_label'], losses['loss_label'])
    losses['loss_importance'].backward()
    assert torch.isfinite(head.conv_seg.weight.grad).all()


def test_drawn_positions_widen_the_maps(make_metas):
    """Two parts of an object, one of them sure: the mean stops at it.

    The telling part has a feature three times as strong, in one position;
    the rest of the object, six positions, has another feature.
    """
    features = torch.zeros(2, 2, 4, 4)
    features[0, 0, 0, 0] = 30
    features[0, 1, :2, 1:4] = 1
    samples = make_samples(make_metas((1,), ()))
    shares = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        head = CAMHead(2, 2, importance_weight=weight)
        torch.nn.init.constant_(head.conv_seg.weight, 0.1)
        optimizer = torch.optim.SGD(head.parameters(), lr=1)
        for _ in range(40):
            optimizer.zero_grad()
            losses = head.loss((features,), samples, None)
            sum(v for k, v in losses.items() if 'loss' in k).backward()
            optimizer.step()
        maps = head((features,))[0, 0].detach()
        shares.append((maps[0, 1] / maps[0, 0]).item())
    assert shares[1] > 2 * shares[0]


@torch.no_grad()
def test_correlation_is_applied_before_resizing(device, make_metas):
    head = CAMHead(4, CHANNELS, correlation=dict(levels=(0, 1), power=2.0))
    torch.nn.init.normal_(head.conv_seg.weight)
    head.to(device)
    inputs = tuple(
        torch.randn(2, c, h, w, device=device)
        for c, h, w in ((3, 20, 28), (4, 10, 14), (CHANNELS, 5, 7))
    )
    metas = make_metas((1, 3), (2,), size=SIZE)
    maps = correlate_maps(head(inputs).relu(), inputs[:2], 2.0)
    maps = F.interpolate(maps, SIZE, mode='bilinear', align_corners=False)
    found = head.predict_maps(inputs, metas)
    assert torch.allclose(found[0, [0, 2]], maps[0, [0, 2]], atol=1e-5)
    assert (found[0, 1] == 0).all()


@torch.no_grad()
def test_propagation_follows_the_correlation(device, make_metas):
    options = dict(alpha=0.7, neighbours=9, decay=0.05)
    head = CAMHead(
        4, CHANNELS, correlation=dict(levels=(1,)),
        propagation=dict(levels=(0, 1), iterations=4, **options),
    )  # fmt: skip
    torch.nn.init.normal_(head.conv_seg.weight)
    head.to(device)
    inputs = tuple(
        torch.randn(2, c, h, w, device=device)
        for c, h, w in ((3, 20, 28), (4, 10, 14), (CHANNELS, 5, 7))
    )
    metas = make_metas((1, 3), (2,), size=SIZE)
    maps = correlate_maps(head(inputs).relu(), inputs[1:2])
    graph = propagation_graph(
        unit_features(inputs[:2], (5, 7)),
        # 40 x 56 pixels over 5 x 7 positions.
        grid_places((5, 7), 8),
        9,
        decay=0.05,
    )
    maps = propagate_labels(maps, graph, 0.7, 4).relu()
    maps = F.interpolate(maps, SIZE, mode='bilinear', align_corners=False)
    found = head.predict_maps(inputs, metas)
    assert torch.allclose(found[0, [0, 2]], maps[0, [0, 2]], atol=1e-5)
    assert (found[0, 1] == 0).all()


@torch.no_grad()
def test_tags_need_no_labels(device, features):
    head = CAMHead(4, CHANNELS, predicts='tags').to(device)
    metas = [dict(img_shape=SIZE)] * 2
    tags = head.predict(features, metas, None)
    assert tags.shape == (2, 4, *SIZE)
    expected = head(features).mean((2, 3))
    assert torch.allclose(tags[:, 1:, 7, 9], expected)
    assert (tags[:, 0] == 0).all()


def test_options_that_make_no_sense():
    with pytest.raises(ValueError, match="predicts='masks'"):
        CAMHead(4, CHANNELS, predicts='masks')
    with pytest.raises(ValueError, match='importance_weight=-1'):
        CAMHead(4, CHANNELS, importance_weight=-1)
    with pytest.raises(ValueError, match='names no levels'):
        CAMHead(4, CHANNELS, correlation=dict(power=2.0))
    with pytest.raises(ValueError, match='propagation=.* names no levels'):
        CAMHead(4, CHANNELS, propagation=dict(alpha=0.5))
