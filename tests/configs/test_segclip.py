"""What SegCLIP's configs train, and how fast."""

import pytest
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

TRAINING = 'segclip/segclip_vit-b16_8xb96-10e_cc3m-coco-224x224'
BLOCKS = 'backbone.tower.module.transformer.resblocks.'
FAST, SLOW = pytest.approx(4e-3), pytest.approx(4e-6)


@pytest.fixture
def settings(load_small):
    """Learning rate and weight decay of each trained parameter."""

    def read(name: str) -> dict[str, tuple[float, float]]:
        cfg = load_small(name)
        model = MODELS.build(cfg.model)
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
        found = {
            parameter: (group['lr'], group['weight_decay'])
            for group in optimizer.param_groups
            for parameter in group['params']
        }
        return {
            name: found.get(parameter)
            for name, parameter in model.named_parameters()
        }

    return read


def rate_of(name: str, group_after: int) -> float | None:
    """As published; None for what is frozen."""
    visual, text = 'backbone.tower.module.', 'decode_head.text.tower.module.'
    if name.startswith(BLOCKS):
        block = int(name.removeprefix(BLOCKS).split('.')[0])
        return FAST if block >= group_after else SLOW
    for part in ('conv1', 'class_embedding', 'positional', 'ln_pre'):
        if name.startswith(visual + part):
            return None
    for part in ('token_embedding', 'positional'):
        if name.startswith(text + part):
            return None
    return SLOW if name.startswith('decode_head') else FAST


@pytest.mark.parametrize(
    ('suffix', 'group_after'),
    [('', 10), ('_after-6', 6), ('_after-8', 8), ('_after-11', 11)],
)
def test_published_rates(settings, suffix, group_after):
    found = settings(f'{TRAINING}{suffix}.py')
    for name, value in found.items():
        rate = rate_of(name, group_after)
        assert (value and value[0]) == rate, name
    assert found['decode_head.logit_scale'][0] == SLOW
    assert found['backbone.tower.module.proj'][0] == FAST


def test_only_matrices_are_decayed(settings):
    """The published filter knows LayerNorm by a name that CLIP has not."""
    found = settings(f'{TRAINING}.py')
    trained = {name: value for name, value in found.items() if value}
    free = {name for name, (_, decay) in trained.items() if not decay}
    assert {
        'decode_head.logit_scale',
        'backbone.group.centers',
        'auxiliary_head.decoder.mask_token',
        'backbone.tower.module.ln_post.weight',
        f'{BLOCKS}3.ln_1.weight',
        f'{BLOCKS}3.attn.in_proj_bias',
        'decode_head.text.tower.module.ln_final.weight',
    } <= free
    for name in trained:
        assert (name in free) == (
            'bias' in name
            or '.ln_' in name
            or 'norm' in name
            or name.endswith(('logit_scale', 'centers', 'mask_token'))
        ), name


def test_published_superpixel_loss(load_small):
    loss = load_small(f'{TRAINING}_released.py').model.decode_head.superpixel
    assert loss == dict(
        type='SuperpixelKLLoss',
        source='hard',
        softmax_again=True,
        reduction='elements',
        loss_weight=1.0,
    )


@pytest.mark.parametrize(
    ('name', 'classes', 'threshold'),
    [('voc21', 21, 0.8), ('context60', 60, 0.25), ('coco-object', 81, 0.65)],
)
def test_evaluation(load_small, name, classes, threshold):
    head = load_small(f'segclip/segclip_vit-b16_{name}.py').model.decode_head
    assert (head.num_classes, head.threshold) == (classes, threshold)
