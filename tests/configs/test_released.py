"""The published behaviour and the default one, where they differ."""

import math

import pytest
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS, PARAM_SCHEDULERS

DEFAULT = 'weakclip/weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512.py'
RELEASED = DEFAULT.replace('.py', '_released.py')
RELEASED_COCO = (
    'weakclip/weakclip_vit-b16-fpn_4xb6-40k_coco14-512x512_released.py'
)
# Four of the six decoder layers, of 1,051,904 parameters each.
UNUSED = 4_207_616
CLIP = ('backbone.', 'neck.text.tower.')


@pytest.fixture
def build(load_small):
    """Model and optimiser of a config, and its small form."""

    def build(name):
        cfg = load_small(name)
        model = MODELS.build(cfg.model)
        return model, build_optim_wrapper(model, cfg.optim_wrapper), cfg

    return build


def rates(model, optimizer):
    """Learning rate of each parameter, by name."""
    rate = {
        parameter: group['lr']
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    return {
        name: rate[parameter]
        for name, parameter in model.named_parameters()
        if parameter in rate
    }


def test_clip_has_no_group(build):
    model, wrapper, _ = build(DEFAULT)
    found = rates(model, wrapper.optimizer)
    assert set(found.values()) == {1e-4}
    for name, _ in model.named_parameters():
        assert (name in found) == ('.tower.' not in name)


def test_released_groups(build):
    """All of the image side has rate 0, the adapter too, and the text tower;
    the prompts and what follows are trained."""
    model, wrapper, _ = build(RELEASED)
    found = rates(model, wrapper.optimizer)
    assert set(found) == {name for name, _ in model.named_parameters()}
    for name, rate in found.items():
        assert rate == (0 if name.startswith(CLIP) else 1e-4), name
    assert found['backbone.adapter.levels.0.1.weight'] == 0
    assert found['neck.text.contexts'] == 1e-4


def test_schedule_lifts_the_frozen(build):
    """Rates at some iterations; published ones to 0.1 %."""
    _, wrapper, cfg = build(RELEASED)
    optimizer = wrapper.optimizer
    groups = optimizer.param_groups
    frozen = next(group for group in groups if group['lr'] == 0)
    trained = next(group for group in groups if group['lr'] > 0)
    groups[:] = [frozen, trained]
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
        for scheduler in cfg.param_scheduler
    ]
    history = []
    for _ in range(20_000):
        history.append((frozen['lr'], trained['lr']))
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    published = {
        750: 4.983e-5,
        1500: 9.863e-5,
        5000: 8.550e-5,
        8000: 6.580e-5,
    }
    for iteration, rate in published.items():
        assert history[iteration][1] == pytest.approx(rate, rel=2e-3)
    assert history[0][0] == 0
    assert all(rate > 0 for rate, _ in history[1:])
    assert frozen['lr'] == pytest.approx(1e-6)
    # What Adam may move each weight of CLIP by.
    assert sum(rate for rate, _ in history) == pytest.approx(1e-2, rel=0.02)


@pytest.mark.parametrize('name', [RELEASED, RELEASED_COCO])
def test_released_initial_weights(build, name):
    """Deviations of what mmcv's and PyTorch's constructors draw, and of what
    mmseg's init_weights() makes of it by default."""
    published = dict(lateral=0.0884, fpn=0.0295, logits=0.0361)
    ours = dict(lateral=0.0442, fpn=0.0208, logits=0.01)
    for path, expected in ((name, published), (DEFAULT, ours)):
        model, _, _ = build(path)
        model.init_weights()
        fpn = model.neck.neck
        found = dict(
            lateral=fpn.lateral_convs[0].conv.weight,
            fpn=fpn.fpn_convs[0].conv.weight,
            logits=model.decode_head.conv_seg.weight,
        )
        for part, deviation in expected.items():
            # A ReLU's gain over the outputs; uniform within 1 / sqrt(256).
            assert found[part].std().item() == pytest.approx(
                deviation, rel=0.03
            ), (path, part)
        first = model.decode_head.scale_heads[0][0].conv.weight
        assert first.std().item() == pytest.approx(0.0295, rel=0.03)


def test_released_coco(load_small, train):
    runner, witness = train(load_small(RELEASED_COCO, once=True))
    assert all(math.isfinite(value) for value in witness.losses[0].values())
    model = runner.model
    assert model.decode_head.num_classes == 91
    assert model.decode_head.conv_seg.weight.shape[0] == 91
    assert len(model.neck.text()) == 91
    assert model.backbone.tower.class_embedding_repeats == 2
    assert not model.neck.co_attention.chained
    assert model.decode_head.boundary_loss.align_corners
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53]
    )
    assert model.data_preprocessor.std.flatten().tolist() == pytest.approx(
        [58.395, 57.12, 57.375]
    )
    dataset = runner.train_dataloader.dataset
    assert len(dataset.metainfo['classes']) == 91
    (crop,) = (
        t for t in dataset.pipeline.transforms if hasattr(t, 'cat_max_ratio')
    )
    assert crop.cat_max_ratio == 0.75
    # CLIP is not frozen; its rate is 0 times the others'.
    rate = rates(model, runner.optim_wrapper.optimizer)
    assert rate.keys() == {name for name, _ in model.named_parameters()}


def test_released_step(load_small, train):
    runner, witness = train(load_small(RELEASED, once=True))
    (losses,) = witness.losses
    assert {name for name in losses if 'loss' in name} == {
        'loss',
        'decode.loss_seed',
        'decode.loss_boundary',
        'aux.loss_ce',
    }
    assert all(math.isfinite(value) for value in losses.values())
    idle = {
        name: parameter.numel()
        for name, parameter in runner.model.named_parameters()
        if name not in witness.with_gradient
    }
    assert sum(idle.values()) == UNUSED
    assert all(name.startswith('neck.co_attention.') for name in idle)
    # Two images of train, four of trainaug with the two among them.
    assert len(runner.train_dataloader.dataset) == 6
    tower = runner.model.backbone.tower
    assert tower.class_embedding_repeats == 2
    preprocessor = runner.model.data_preprocessor
    assert preprocessor.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53]
    )
