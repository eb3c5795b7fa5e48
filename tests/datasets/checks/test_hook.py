from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger
from mmseg.registry import DATASETS, HOOKS

from mmseg_weakclip.datasets.checks.hook import CheckDatasetHook


def runner_of(dataset) -> SimpleNamespace:
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(
        train_loop=SimpleNamespace(dataloader=loader),
        logger=MMLogger.get_instance('hook'),
    )


def test_good_data_passes(weak_config):
    hook = HOOKS.build(dict(type='CheckDatasetHook'))
    hook.before_train(runner_of(DATASETS.build(weak_config())))


def test_broken_data_stops_the_training(weak_config, weak_root):
    (weak_root / 'Seeds/img4.png').unlink()
    (weak_root / 'Seeds/img5.png').write_bytes(b'no image')
    runner = runner_of(DATASETS.build(weak_config(check_masks=False)))
    with pytest.raises(ValueError, match='training data') as caught:
        CheckDatasetHook().before_train(runner)
    message = str(caught.value)
    assert 'Seeds/img4.png does not exist' in message
    assert 'Seeds/img5.png is damaged' in message
    with pytest.raises(ValueError, match=r'img4\.png') as caught:
        CheckDatasetHook(num_masks=1).before_train(runner)
    assert 'img5' not in str(caught.value)


def test_warnings_do_not_stop_it(weak_config, weak_root):
    (weak_root / 'train.txt').write_text('img1\nimg1\n')
    CheckDatasetHook().before_train(runner_of(DATASETS.build(weak_config())))


def test_all_processes_stop_together(weak_config, weak_root, monkeypatch):
    """A process that did not check raises what the main one has found."""
    (weak_root / 'JPEGImages/img4.jpg').unlink()
    runner = runner_of(DATASETS.build(weak_config()))
    sent = []
    module = 'mmseg_weakclip.datasets.checks.hook.'
    monkeypatch.setattr(
        module + 'broadcast_object_list', lambda data: sent.extend(data)
    )
    with pytest.raises(ValueError, match=r'img4\.jpg'):
        CheckDatasetHook().before_train(runner)

    def receive(data):
        data[:] = sent

    monkeypatch.setattr(module + 'is_main_process', lambda: False)
    monkeypatch.setattr(module + 'broadcast_object_list', receive)
    with pytest.raises(ValueError, match=r'img4\.jpg'):
        CheckDatasetHook().before_train(None)
