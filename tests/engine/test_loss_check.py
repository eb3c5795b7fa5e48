from types import SimpleNamespace

import pytest
import torch

from mmseg_weakclip.engine.hooks import CheckLossHook


@pytest.fixture
def check():
    """Run the hook behind the fifth iteration on two images."""

    def run(outputs):
        paths = ('images/a.jpg', 'images/b.jpg')
        samples = [
            SimpleNamespace(metainfo=dict(img_path=path)) for path in paths
        ]
        CheckLossHook().after_train_iter(
            SimpleNamespace(iter=4),
            batch_idx=4,
            data_batch=dict(data_samples=samples),
            outputs=outputs,
        )

    return run


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
@pytest.mark.parametrize('wrap', [float, lambda x: torch.tensor(float(x))])
def test_term_value_and_images_are_named(check, value, wrap):
    outputs = {
        'loss': wrap('nan'),
        'decode.loss_seed': wrap(value),
        'aux.loss_ce': wrap('0.5'),
    }
    message = (
        rf"iteration 5: {{'loss': nan, 'decode.loss_seed': {value}}} with "
        r"the images \['images/a.jpg', 'images/b.jpg'\]"
    )
    with pytest.raises(FloatingPointError, match=message):
        check(outputs)


def test_infinities_that_cancel_in_no_sum(check):
    outputs = {'loss_a': float('inf'), 'loss_b': float('-inf')}
    with pytest.raises(FloatingPointError, match='loss_a.*loss_b'):
        check(outputs)


def test_what_is_no_loss_may_be_anything(check):
    check({'loss': torch.tensor(1.0), 'acc_seg': torch.tensor(float('nan'))})
    check({'acc_seg': float('nan')})
    check(None)
