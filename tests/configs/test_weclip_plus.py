"""The configs of WeCLIP+ have its published values."""

import pytest
from mmengine.config import Config

FOLDER = 'configs/weclip_plus'
SMALL = 'weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320'


@pytest.fixture
def load(repo):
    return lambda name: Config.fromfile(repo / FOLDER / f'{name}.py')


@pytest.mark.parametrize(
    ('name', 'width', 'depth', 'blocks'),
    [('s', 384, 3, 6), ('b', 768, 3, 6), ('l', 1024, 5, 12)],
)
def test_voc(load, name, width, depth, blocks):
    cfg = load(SMALL.replace('-s14', f'-{name}14'))
    head, guide = cfg.model.decode_head, cfg.model.guide
    size = dict(s='small', b='base', l='large')[name]
    assert guide.model == f'vit_{size}_patch14_dinov2.lvd142m'
    assert guide.mean == cfg.model.data_preprocessor.mean
    assert guide.round_down
    assert (head.second_adapter.in_channels, head.depth) == (width, depth)
    assert head.adapter.layers == (10,)
    assert cfg.model.backbone.attention_layers == blocks
    assert head.class_maps.affinity.box_threshold is None
    assert 'relation' not in head  # the plain product, from the start
    assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (
        30000, 4
    )  # fmt: skip
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ('AdamW', 2e-4)
    assert optimizer.weight_decay == 0.01
    for loss, kind in zip(
        head.loss_decode, ('BalancedCELoss', 'BatchDiceLoss')
    ):
        assert (loss.start, loss.threshold) == (0.6, 0.75)
        assert loss.loss.type == kind
        assert loss.loss.get('loss_weight', 1) == 1
    assert head.cross_loss.loss_weight == 0.1
    (sizes, *_) = cfg.tta_pipeline[-1].transforms
    assert [step.scale for step in sizes] == [(512, 512), (768, 768)]
    assert cfg.test_pipeline[1].scale == (512, 512)
    assert cfg.protocol.crf == 'weclip'
    assert cfg.tta_model.activation == 'none'


@pytest.mark.parametrize(
    ('name', 'width', 'depth', 'blocks'),
    [('s', 384, 3, 8), ('b', 768, 3, 8), ('l', 1024, 5, 12)],
)
def test_coco(load, name, width, depth, blocks):
    cfg = load(f'weclip-plus_vit-b16_dinov2-{name}14_1xb8-80k_coco14-320x320')
    head = cfg.model.decode_head
    size = dict(s='small', b='base', l='large')[name]
    assert cfg.model.guide.model == f'vit_{size}_patch14_dinov2.lvd142m'
    assert (head.second_adapter.in_channels, head.depth) == (width, depth)
    assert head.num_classes == 81
    assert head.class_maps.affinity.box_threshold == 0.7
    assert cfg.model.backbone.attention_layers == blocks
    assert head.text.background_words == 'coco'
    assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (
        80000, 8
    )  # fmt: skip
    assert {loss.start for loss in head.loss_decode} == {0.5}
    assert cfg.param_scheduler[-1]['end'] == 80001
    assert cfg.optim_wrapper.optimizer.lr == 2e-4


def differences(first, second, prefix=''):
    """Keys whose values differ, below the dicts that both have."""
    found = set()
    for key in {*first, *second}:
        one, two = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            found |= differences(one, two, f'{prefix}{key}.')
        elif one != two:
            found.add(f'{prefix}{key}')
    return found


@pytest.mark.parametrize(
    ('name', 'keys'),
    [
        ('clip-only', {'guide', 'second_adapter', 'cross_loss'}),
        ('no-gate', {'gate'}),
        ('no-cross', {'cross_loss'}),
        ('no-dice', {'loss_decode'}),
        ('no-self-target', {'loss_decode'}),
        ('clip-relation', {'relation_of'}),
        ('dinov2-relation', {'relation_of'}),
        ('sbe', {'boundary'}),
    ],
)
def test_an_ablation_changes_one_thing(load, name, keys):
    plain, other = load(SMALL), load(f'{SMALL}_{name}')
    changed = differences(plain.model.to_dict(), other.model.to_dict())
    assert {key.split('.')[-1] for key in changed} == keys
    rest = differences(
        {k: v for k, v in plain.to_dict().items() if k != 'model'},
        {k: v for k, v in other.to_dict().items() if k != 'model'},
    )
    assert not rest


def test_super_classes(load):
    """Five of them, each class of VOC in one."""
    boundary = load(f'{SMALL}_sbe').model.decode_head.boundary
    assert len(boundary.groups) == len(boundary.text.names) == 5
    assert sorted(sum(map(list, boundary.groups.values()), [])) == [
        *range(1, 21)
    ]
    assert (boundary.min_groups, boundary.loss_weight) == (2, 0.6)
