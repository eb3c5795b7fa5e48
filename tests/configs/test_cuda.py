"""Every kind of config on CUDA; where there is none, on one that pretends."""

import numpy as np
import pytest
import torch

# Where half precision has something of its own to show: losses on small maps
# with a CRF, online labels, GradCAM, pairs of texts and regions, captions.
HALF = (
    'weakclip_voc.py',
    'excel_voc.py',
    'excel/weclip_vit-b16_1xb4-30k_voc12-320x320.py',
    'clims_plus_voc.py',
    'toyland/segclip.py',
)


def check(runner, witness) -> None:
    assert all(p.is_cuda for p in runner.model.parameters())
    assert witness.with_gradient
    (losses,) = witness.losses
    assert all(torch.isfinite(torch.as_tensor(v)) for v in losses.values())


def test_trains(voc_training_config, load_small, train, cuda):
    """A step with backward pass, clipping and optimiser."""
    cfg = load_small(voc_training_config, once=True)
    cfg.optim_wrapper.clip_grad = dict(max_norm=1.0)
    check(*train(cfg))


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [*((name, 'bfloat16') for name in HALF), (HALF[0], 'float16')],
)
def test_trains_in_half_precision(name, dtype, load_small, train, cuda):
    cfg = load_small(name, once=True)
    # The default scale of 2^16 is halved until nothing overflows.
    cfg.optim_wrapper.update(
        type='AmpOptimWrapper', dtype=dtype, loss_scale=16.0
    )
    runner, witness = train(cfg)
    check(runner, witness)
    assert {p.dtype for p in runner.model.parameters()} == {torch.float32}


def test_validates(load_small, train, cuda):
    """After the last step, with what a validation has: no truth here."""
    cfg = load_small('weakclip_voc.py')
    _, witness = train(cfg)
    assert witness.scores == [{}]


def test_writes_masks(voc_masks_config, make_masks, cuda):
    """All views, PAR and CRF on the device."""
    one_view = voc_masks_config == 'excel/training_free_voc12_released.py'
    runner, masks, _ = make_masks(voc_masks_config, tta=not one_view)
    assert all(p.is_cuda for p in runner.model.parameters())
    for mask in masks.values():
        assert mask.shape == (72, 96)
        assert mask.dtype == np.uint8
