import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub

from mmseg_weakclip.models.clip.similarity import (
    centred_similarity,
    positive_softmax,
)
from mmseg_weakclip.models.excel.adapter import MultiLayerAdapter
from mmseg_weakclip.models.excel.head import IntraCorrelationHead
from mmseg_weakclip.models.excel.pseudo_labels import shift_dense_stream

ADAPTER = dict(
    type='MultiLayerAdapter',
    in_channels=128,
    channels=32,
    layers=range(6),
    dropout=0.0,
)
PAR = dict(iterations=2, dilations=(1, 2))


@pytest.fixture(autouse=True)
def at_iteration(monkeypatch):
    """Set the iteration that the head believes in."""
    hub = MessageHub.get_current_instance()

    def at(iteration):
        hub.update_info('iter', iteration)

    before = hub.get_info('iter', 0)
    at(0)
    yield at
    at(before)


@pytest.fixture
def make_head(device, text_cfg):
    def make(**kwargs):
        torch.manual_seed(1)
        options = dict(
            num_classes=4,
            text=text_cfg,
            adapter=ADAPTER,
            channels=32,
            depth=2,
            heads=4,
            class_maps=dict(affinity=dict(box_threshold=0.4)),
            par=PAR,
            relation=dict(beta=1.0, gamma=3.0),
            loss_decode=dict(type='BalancedCELoss'),
            diversity_loss=dict(type='AffinityDiversityLoss'),
            dynamic_start=10,
        )
        return IntraCorrelationHead(**{**options, **kwargs}).to(device)

    return make


def test_parameters():
    """3,938,560 in the adapter; 2,374,677 in decoder and classifier are
    counted with the config of VOC."""
    adapter = MultiLayerAdapter()
    assert sum(p.numel() for p in adapter.parameters()) == 3_938_560


@torch.no_grad()
def test_adapter_by_hand(make_features, device):
    torch.manual_seed(0)
    options = {**ADAPTER, 'layers': (1, 4)}
    options.pop('type')
    adapter = MultiLayerAdapter(**options).to(device).eval()
    tokens = make_features()[-1]
    ours = adapter(tokens)
    assert ours.shape == (2, 32, 5, 7)
    row, column = 3, 2
    patch = 1 + row * 7 + column
    parts = []
    for branch, layer in zip(adapter.branches, (1, 4)):
        # What comes out of block l is what goes into block l + 1.
        hidden = tokens.hidden[layer + 1][:, patch]
        parts.append(branch[2](branch[0](hidden).clamp(min=0)))
    weight = adapter.mix.weight[:, :, 0, 0]
    expected = torch.cat(parts, -1) @ weight.T + adapter.mix.bias
    assert torch.allclose(ours[:, :, row, column], expected, atol=1e-5)


def test_adapter_needs_hidden_states(make_features, device):
    adapter = MultiLayerAdapter(128, 32, range(7)).to(device)
    with pytest.raises(ValueError, match='hidden_states=True'):
        adapter(make_features(hidden_states=False)[-1])
    with pytest.raises(ValueError, match='but CLIP has 6 blocks'):
        adapter(make_features()[-1])


@torch.no_grad()
@pytest.mark.parametrize('heads', ['sum', 'keep'])
def test_shift_is_r_u(make_features, device, heads):
    dense = dict(preset='excel', heads=heads)
    tokens = make_features(dense=dense)[-1]
    scores = centred_similarity(torch.randn(2, 35, 8, device=device))
    moved = shift_dense_stream(tokens, scores)
    relation = torch.zeros(2, 36, 36, device=device)
    relation[:, 1:, 1:] = positive_softmax(scores)
    number = 4 if heads == 'sum' else 1
    y = tokens.dense + number * relation @ tokens.values
    expected = tokens.tower.embed(y)[:, 1:].transpose(1, 2)
    assert torch.allclose(
        moved.patch_embeddings.flatten(2), expected, atol=1e-4
    )
    # What came in is as it was.
    assert torch.equal(
        tokens.patch_embeddings.flatten(2),
        tokens.tower.embed(tokens.dense)[:, 1:].transpose(1, 2),
    )


def test_shift_needs_a_linear_path(make_features, device):
    scores = torch.zeros(2, 35, 35, device=device)
    for dense in (None, 'sclip'):
        with pytest.raises(ValueError, match='dense="excel"'):
            shift_dense_stream(make_features(dense=dense)[-1], scores)


def losses_of(head, features, samples):
    return head.loss(features, samples, None)


def test_losses_and_gradients(make_head, make_features, make_samples):
    head, features = make_head(), make_features()
    samples = make_samples((1, 3), (2,))
    losses = losses_of(head, features, samples)
    assert set(losses) == {'loss_ce', 'loss_div', 'acc_seg'}
    (losses['loss_ce'] + losses['loss_div']).backward()
    for name, parameter in head.named_parameters():
        trained = not name.startswith('text.')
        assert parameter.requires_grad == trained
        assert (parameter.grad is not None) == trained, name
    assert all(p.grad is None for p in features[-1].tower.parameters())
    # Labels speak of present classes alone.
    for sample, own in zip(samples, ((1, 3), (2,))):
        assert set(sample.gt_sem_seg.data.unique().tolist()) <= {0, *own}


def test_gradient_of_diversity_reaches_the_adapter_only(
    make_head, make_features, make_samples
):
    head = make_head()
    losses_of(head, make_features(), make_samples((1,), (2,)))[
        'loss_div'
    ].backward()
    assert all(p.grad is not None for p in head.adapter.parameters())
    assert all(p.grad is None for p in head.decoder.parameters())


def test_labels_change_when_the_relation_comes_in(
    make_head, make_features, make_samples, at_iteration
):
    head, features = make_head(), make_features()
    found = {}
    for iteration in (0, 9, 10, 11):
        at_iteration(iteration)
        samples = make_samples((1, 3), (1, 2))
        losses_of(head, features, samples)
        found[iteration] = torch.stack([s.gt_sem_seg.data for s in samples])
    assert torch.equal(found[0], found[9])
    assert torch.equal(found[10], found[11])
    assert not torch.equal(found[9], found[10])


def test_weclip(make_head, make_features, make_samples, at_iteration):
    """GradCAM for maps, a plain product for the relation, CLIP as it is."""
    head = make_head(
        class_maps=dict(
            affinity=dict(box_threshold=0.4),
            grad_cam=dict(logit_scale=20.0),
            calibrate=False,
        ),
        relation='dot',
    )
    features = make_features(dense=None)
    found = []
    for iteration in (0, 10):
        at_iteration(iteration)
        samples = make_samples((1, 3), (1, 2))
        losses = losses_of(head, features, samples)
        assert all(torch.isfinite(v).all() for v in losses.values())
        found.append(torch.stack([s.gt_sem_seg.data for s in samples]))
    assert not torch.equal(*found)  # other attention maps
    patches = head.adapter(features[-1]).flatten(2)
    expected = patches.transpose(1, 2) @ patches
    scores = head._relation_scores(head.adapter(features[-1]))
    assert torch.allclose(scores, expected, atol=1e-4)


def test_own_prediction_becomes_the_target(
    make_head, make_features, make_samples, at_iteration
):
    head, features = make_head(self_target_start=5), make_features()
    losses = []
    for iteration in (4, 5):
        at_iteration(iteration)
        losses.append(
            losses_of(head, features, make_samples((1, 3), (2,)))['loss_div']
        )
    assert losses[0] != losses[1]
    # Of pixels, then every eighth of them: not the argmax at the patches.
    logits = head(features)
    pixels = F.interpolate(logits, (40, 56), mode='bilinear').argmax(1)
    own = pixels[:, ::8, ::8]
    assert (own != logits.argmax(1)).any()
    scores = head._relation_scores(head.adapter(features[-1]))
    expected = head.diversity_loss(scores.sigmoid(), own)
    assert torch.allclose(losses[1], expected)


def test_without_a_relation(make_head, make_features, make_samples):
    head = make_head(relation=None, diversity_loss=None)
    losses = losses_of(head, make_features(), make_samples((1,), (2,)))
    assert set(losses) == {'loss_ce', 'acc_seg'}


@pytest.mark.parametrize('size', [(40, 56), (33, 80), (64, 64)])
@pytest.mark.parametrize('labels', [((), ()), ((1, 2, 3), ()), ((2,), (3,))])
def test_any_labels_any_size(
    make_head, make_features, make_samples, at_iteration, size, labels
):
    """No foreground at all among them."""
    head = make_head()
    features = make_features(size=size)
    for iteration in (0, 10):
        at_iteration(iteration)
        losses = losses_of(head, features, make_samples(*labels, size=size))
        assert all(torch.isfinite(v).all() for v in losses.values())


def test_class_that_the_crop_lost(make_head, make_features, make_samples):
    """No patch supports it: no pixel gets it, and nothing breaks."""
    head = make_head(class_maps=dict(min_support=10.0))
    samples = make_samples((1, 3), (2,))
    losses = losses_of(head, make_features(), samples)
    assert all(torch.isfinite(v).all() for v in losses.values())
    assert all((s.gt_sem_seg.data == 0).all() for s in samples)


def test_padding_is_ignored(make_head, make_features, make_samples):
    samples = make_samples((1,), (2,), img_shape=(30, 41))
    losses_of(make_head(), make_features(), samples)
    for sample in samples:
        labels = sample.gt_sem_seg.data[0]
        assert (labels[30:] == 255).all()
        assert (labels[:, 41:] == 255).all()
        assert (labels[:30, :41] != 255).all()


def test_images_of_a_batch_do_not_meet(
    make_head, make_features, make_samples, at_iteration
):
    """Batch-wide means, as published, would join them."""
    at_iteration(10)
    head = make_head().eval()
    together = make_samples((1, 3), (2,))
    losses_of(head, make_features(), together)
    alone = make_samples((1, 3))
    losses_of(head, make_features(batch=1), alone)
    assert torch.equal(together[0].gt_sem_seg.data, alone[0].gt_sem_seg.data)


def test_bfloat16(make_head, make_features, make_samples, device):
    head = make_head()
    with torch.autocast(device.type, torch.bfloat16):
        losses = losses_of(head, make_features(), make_samples((1,), (2,)))
        sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(torch.isfinite(v).all() for v in losses.values())
    assert all(
        torch.isfinite(p.grad).all()
        for p in head.parameters()
        if p.grad is not None
    )


@torch.no_grad()
def test_predicts(make_head, make_features, make_samples):
    features = make_features()
    metas = [s.metainfo for s in make_samples((1, 3), (2,))]
    logits = make_head().eval().predict(features, metas, None)
    assert logits.shape == (2, 4, 40, 56)
    head = make_head(predicts='cams').eval()
    cams = head.predict(features, copy.deepcopy(metas), None)
    assert cams.shape == (2, 4, 40, 56)
    assert (cams[0, 2] == 0).all()
    assert (cams[1, [1, 3]] == 0).all()
    assert cams[0, 1].max() > 0.5
    assert torch.allclose(cams[:, 0], 1 - cams[:, 1:].amax(1))
    # The trained relation takes part.
    plain = make_head(
        predicts='cams', relation=None, diversity_loss=None
    ).eval()
    assert not torch.allclose(plain.predict(features, metas, None), cams)


def test_bad_input(make_head, make_features, make_samples, text_cfg):
    features = make_features()
    with pytest.raises(ValueError, match="relation='cos' must be 'dot'"):
        make_head(relation='cos')
    with pytest.raises(ValueError, match='trains a relation'):
        make_head(relation=None)
    with pytest.raises(ValueError, match="predicts='masks'"):
        make_head(predicts='masks')
    with pytest.raises(ValueError, match='with_tokens=True'):
        make_head()(features[:1])
    with pytest.raises(ValueError, match='num_classes=7 .* 3 names'):
        losses_of(make_head(num_classes=7), features, make_samples((1,), (2,)))
    with pytest.raises(ValueError, match=r'1.jpg .*\(4,\).* 1 to 3'):
        losses_of(make_head(), features, make_samples((1,), (4,)))
    samples = make_samples((1,), (2,))
    del samples[0].img
    with pytest.raises(ValueError, match='WeakSegDataPreProcessor'):
        losses_of(make_head(), features, samples)
