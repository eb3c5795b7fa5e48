"""WeCLIP+'s head: a second model's features beside those of CLIP."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip.similarity import dot_similarity
from mmseg_weakclip.models.excel.adapter import MapAdapter, MultiLayerAdapter
from mmseg_weakclip.models.excel.paired_head import PairedRelationHead
from mmseg_weakclip.models.losses.balanced_ce import balanced_cross_entropy

WIDTH = 12  # of the second model
OPTIONS = dict(
    num_classes=4,
    adapter=dict(
        type='MultiLayerAdapter', in_channels=128, channels=32, layers=(4,),
        dropout=0.0,
    ),
    second_adapter=dict(
        type='MapAdapter', in_channels=WIDTH, channels=32, dropout=0.0
    ),
    channels=32,
    depth=2,
    heads=4,
    class_maps=dict(
        affinity=dict(box_threshold=None),
        grad_cam=dict(logit_scale=20.0),
        calibrate=False,
    ),
    par=dict(iterations=2, dilations=(1, 2)),
    loss_decode=[dict(type='BalancedCELoss'), dict(type='BatchDiceLoss')],
    cross_loss=dict(type='BalancedCELoss', loss_weight=0.1),
    diversity_loss=dict(type='AffinityDiversityLoss'),
)  # fmt: skip


@pytest.fixture
def make_head(device, text_cfg):
    def make(**kwargs):
        torch.manual_seed(1)
        options = dict(OPTIONS, text=text_cfg)
        return PairedRelationHead(**{**options, **kwargs}).to(device)

    return make


@pytest.fixture
def make_inputs(make_features, device):
    """Features of a second model on a finer grid, then those of CLIP."""

    def make(batch=2, size=(40, 56), **kwargs):
        tokens = make_features(batch, size, dense=None, **kwargs)
        torch.manual_seed(3)
        second = torch.randn(batch, WIDTH, size[0] // 5, size[1] // 7)
        return (second.to(device), *tokens)

    return make


def losses_of(head, inputs, samples):
    losses = head.loss(inputs, samples, None)
    return losses, torch.stack([s.gt_sem_seg.data[0] for s in samples])


def test_parameters_of_dinov2_s():
    """Two adapters, three blocks of width 256 and 21 classes: 2.93 M."""
    adapters = MultiLayerAdapter(layers=(10,)), MapAdapter(384)
    sizes = [sum(p.numel() for p in a.parameters()) for a in adapters]
    assert sizes == [328_448, 230_144]
    # Decoder and classifier are those of ExCEL; see test_head.py.
    assert sum(sizes) + 2_374_677 == 2_933_269


@torch.no_grad()
def test_adapter_by_hand(device):
    adapter = MapAdapter(WIDTH, 8, 0.0).to(device)
    maps = torch.randn(2, WIDTH, 3, 4, device=device)
    first, _, second = adapter.branch
    hidden = second(first(maps[1, :, 2, 3]).clamp(min=0))
    expected = adapter.mix.weight[:, :, 0, 0] @ hidden + adapter.mix.bias
    found = adapter(maps)[1, :, 2, 3]
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_prediction_is_the_mean_of_the_branches(make_head, make_inputs):
    """One decoder sees each model's features apart, on CLIP's grid."""
    head, inputs = make_head().eval(), make_inputs()
    clip = head.adapter(inputs[-1])
    second = head.second_adapter(inputs[0])
    second = F.interpolate(second, inputs[-1].grid, mode='bilinear')
    expected = (
        head.cls_seg(head.decoder(clip)) + head.cls_seg(head.decoder(second))
    ) / 2
    assert torch.allclose(head(inputs), expected, atol=1e-5)


@pytest.mark.parametrize(
    ('relation_of', 'parts'),
    [('both', (0, 1)), ('clip', (0,)), ('second', (1,))],
)
@torch.no_grad()
def test_relation(make_head, make_inputs, relation_of, parts):
    head = make_head(relation_of=relation_of).eval()
    inputs = make_inputs()
    features = head._features(inputs)
    scores, _ = head._guides(inputs)
    chosen = torch.cat([features[i] for i in parts], 1)
    expected = dot_similarity(chosen.flatten(2).transpose(1, 2))
    assert torch.allclose(scores, expected, atol=1e-4)


def test_losses_and_gradients(make_head, make_inputs, make_samples):
    head, inputs = make_head(), make_inputs()
    losses, labels = losses_of(head, inputs, make_samples((1, 3), (2,)))
    assert set(losses) == {
        'loss_ce', 'loss_dice', 'loss_cross_loss_ce', 'loss_div', 'acc_seg'
    }  # fmt: skip
    for own, present in zip(labels, ((1, 3), (2,))):
        assert set(own.unique().tolist()) <= {0, *present}
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for name, parameter in head.named_parameters():
        trained = not name.startswith('text.')
        assert (parameter.grad is not None) == trained, name
    assert all(p.grad is None for p in inputs[-1].tower.parameters())


def test_each_branch_learns_from_the_other(
    make_head, make_inputs, make_samples
):
    """Their classes at the crop's pixels; padding does not count."""
    head, inputs = make_head(), make_inputs()
    samples = make_samples((1, 3), (2,), img_shape=(33, 41))
    losses, labels = losses_of(head, inputs, samples)
    first, second = (
        F.interpolate(maps, (40, 56), mode='bilinear')
        for maps in head._branches(head._features(inputs))
    )
    expected = 0
    for own, other in ((first, second), (second, first)):
        target = other.argmax(1)
        target[:, 33:] = target[:, :, 41:] = 255
        expected = expected + 0.1 * balanced_cross_entropy(own, target)
    assert (labels[:, 33:] == 255).all()
    torch.testing.assert_close(losses['loss_cross_loss_ce'], expected)


def test_gate(make_head, make_inputs, make_samples, monkeypatch):
    """A class map is multiplied by the network's probability of its class."""
    head, inputs = make_head(), make_inputs()
    seen = []
    maps_of = head.class_maps._maps
    monkeypatch.setattr(
        head.class_maps,
        '_maps',
        lambda *args, **kwargs: (
            seen.append(args[4]) or maps_of(*args, **kwargs)
        ),
    )
    losses_of(head, inputs, make_samples((1, 3), (2,)))
    expected = head(inputs).softmax(1)[:, 1:]
    assert torch.allclose(seen[0], expected, atol=1e-5)
    assert not seen[0].requires_grad
    make = make_head(gate=False)
    _, plain = losses_of(make, inputs, make_samples((1, 3), (2,)))
    # A network that is sure that there is nothing but class 3.
    sure = make_head()
    torch.nn.init.zeros_(sure.conv_seg.weight)
    sure.conv_seg.bias.data[:] = torch.tensor([-50.0, -50, -50, 50])
    _, gated = losses_of(sure, inputs, make_samples((1, 3), (2,)))
    assert (plain == 1).any()
    assert not (gated == 1).any()


@torch.no_grad()
def test_gate_by_hand(make_head, make_inputs):
    """Without an affinity: the map times the gate, stretched again."""
    head = make_head(
        class_maps=dict(grad_cam=dict(logit_scale=20.0), calibrate=False)
    )
    tokens = make_inputs()[-1]
    text, labels = head.text(), [(0, 2), (1,)]
    plain, ids = head.class_maps(tokens, text, labels)
    gate = torch.rand(2, 3, *tokens.grid, device=plain.device)
    found, again = head.class_maps(tokens, text, labels, None, gate)
    assert torch.equal(ids, again)
    product = plain[0, 1] * gate[0, 2]
    low, high = product.min(), product.max()
    assert torch.allclose(
        found[0, 1], (product - low) / (high - low), atol=1e-4
    )
    everything = torch.ones_like(gate)
    same, _ = head.class_maps(tokens, text, labels, None, everything)
    assert torch.allclose(same, plain, atol=1e-4)


def test_clip_alone(make_head, make_inputs, make_samples):
    head = make_head(second_adapter=None, cross_loss=None)
    inputs = make_inputs()[1:]
    losses, _ = losses_of(head, inputs, make_samples((1,), (2,)))
    assert set(losses) == {'loss_ce', 'loss_dice', 'loss_div', 'acc_seg'}
    logits = head.cls_seg(head.decoder(head.adapter(inputs[-1])))
    assert torch.allclose(head(inputs), logits)


@pytest.mark.parametrize('size', [(40, 56), (33, 80)])
@pytest.mark.parametrize('labels', [((), ()), ((1, 2, 3), ())])
def test_any_labels_any_size(
    make_head, make_inputs, make_samples, size, labels
):
    inputs = make_inputs(size=size)
    losses, _ = losses_of(
        make_head(), inputs, make_samples(*labels, size=size)
    )
    assert all(torch.isfinite(value).all() for value in losses.values())


@torch.no_grad()
def test_images_of_a_batch_do_not_meet(make_head, make_inputs, make_samples):
    head, inputs = make_head().eval(), make_inputs()
    _, both = losses_of(head, inputs, make_samples((1, 3), (2,)))
    alone = make_inputs(batch=1)
    first = (inputs[0][:1], *alone[1:])
    _, one = losses_of(head, first, make_samples((1, 3)))
    assert (both[0] == one[0]).float().mean() > 0.99


def test_self_target(make_head, make_inputs, make_samples):
    """The losses of the mean take it from SelfTargetLoss, as any head does."""
    hub = MessageHub.get_current_instance()
    before = hub.get_info('iter', 0), hub.get_info('max_iters', 0)
    loss = [
        dict(type='SelfTargetLoss', loss=loss, threshold=0.0)
        for loss in OPTIONS['loss_decode']
    ]
    head, inputs = make_head(loss_decode=loss), make_inputs()
    found = []
    try:
        for iteration in (0, 60):
            hub.update_info('iter', iteration)
            hub.update_info('max_iters', 100)
            losses, _ = losses_of(head, inputs, make_samples((1, 3), (2,)))
            found.append([losses['loss_ce'], losses['loss_dice']])
    finally:
        hub.update_info('iter', before[0])
        hub.update_info('max_iters', before[1])
    assert all(a != b for a, b in zip(*found))


@torch.no_grad()
def test_half_precision(make_head, make_inputs, make_samples, device):
    head, inputs = make_head(), make_inputs()
    with torch.autocast(device.type, torch.bfloat16):
        losses, _ = losses_of(head, inputs, make_samples((1, 3), (2,)))
    assert all(torch.isfinite(value) for value in losses.values())


@torch.no_grad()
def test_class_maps_as_seeds(make_head, make_inputs, make_samples):
    head, inputs = make_head(predicts='cams').eval(), make_inputs()
    metas = [sample.metainfo for sample in make_samples((1, 3), (2,))]
    scores = head.predict(inputs, metas, None)
    assert scores.shape == (2, 4, 40, 56)
    assert not scores[0, 2].any()
    assert scores[0, 1].any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(relation_of='dino'), "relation_of='dino' must be one of"),
        (dict(second_adapter=None), 'need second_adapter'),
        (
            dict(relation=None, diversity_loss=None, relation_of='clip'),
            "relation_of='clip' would change nothing beside relation=None",
        ),
        (
            dict(second_adapter=None, cross_loss=None, relation_of='second'),
            'need second_adapter',
        ),
    ],
)
def test_wrong_options(make_head, options, message):
    with pytest.raises(ValueError, match=message):
        make_head(**options)


@pytest.mark.parametrize(
    ('part', 'options', 'message'),
    [
        (
            'adapter',
            dict(type='MultiLayerAdapter', in_channels=64, layers=(4,)),
            'MultiLayerAdapter has in_channels=64.*set in_channels=128',
        ),
        (
            'second_adapter',
            dict(type='MapAdapter', in_channels=2 * WIDTH),
            f'MapAdapter has in_channels=24.*set in_channels={WIDTH} if',
        ),
    ],
)
def test_another_model_needs_another_width(
    make_head, make_inputs, part, options, message
):
    """The message has the value for the model that is there."""
    head = make_head(**{part: dict(options, channels=32)})
    with pytest.raises(ValueError, match=message):
        head(make_inputs())


def test_a_second_model_is_missing(make_head, make_inputs, make_samples):
    with pytest.raises(ValueError, match="type='GuidedEncoderDecoder'"):
        losses_of(make_head(), make_inputs()[1:], make_samples((1,), (2,)))


def test_a_second_model_must_be_there(
    make_head, make_inputs, make_samples, text_cfg
):
    """CLIP's own map, of the same width, is not taken for its features."""
    adapter = dict(type='MapAdapter', in_channels=128, channels=32)
    head = make_head(second_adapter=adapter)
    with pytest.raises(ValueError, match='second_adapter .* only those of CL'):
        losses_of(head, make_inputs()[1:], make_samples((1,), (2,)))
    options = dict(
        type='GuidedEncoderDecoder',
        backbone=dict(type='CLIPViT', model='toyclip', pretrained=None),
        decode_head=dict(OPTIONS, type='PairedRelationHead', text=text_cfg),
    )
    with pytest.raises(ValueError, match='^second_adapter of PairedRel.*guid'):
        MODELS.build(ConfigDict(options))
    options['decode_head'].update(second_adapter=None, cross_loss=None)
    MODELS.build(ConfigDict(options))


def test_boundary_loss(make_head, make_inputs, make_samples, text_cfg):
    groups = dict(vehicle=(1, 2), animal=(3,))
    boundary = dict(
        groups=groups, text=dict(text_cfg, names=tuple(groups)), min_groups=0
    )
    head, inputs = make_head(boundary=boundary), make_inputs()
    losses, _ = losses_of(head, inputs, make_samples((1, 3), (2,)))
    logits = head(inputs)
    expected = head.boundary(logits, inputs[-1], inputs[0], [(0, 2), (1,)])
    torch.testing.assert_close(losses['loss_boundary'], expected)
    rows, columns = inputs[-1].grid
    samples = make_samples((1, 3), (2,), img_shape=(40, 28))
    losses, _ = losses_of(head, inputs, samples)
    ignored = torch.zeros(2, rows, columns, dtype=torch.bool)
    ignored[..., -(-28 * columns // 56) :] = True
    expected = head.boundary(
        logits,
        inputs[-1],
        inputs[0],
        [(0, 2), (1,)],
        ignored.to(logits.device),
    )
    torch.testing.assert_close(losses['loss_boundary'], expected)
    with pytest.raises(ValueError, match='boundary .* need second_adapter'):
        make_head(boundary=boundary, second_adapter=None, cross_loss=None)
