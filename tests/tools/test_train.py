"""tools/train.py on toyland."""

import json
import math
import signal
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.cam_seed import CAMSeedLoss

# An error that is not raised shall not take a thousand iterations.
ONE, TWO = ['train_cfg.max_iters=1'], ['train_cfg.max_iters=2']
KILLER = """
import os
import signal

from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class KillHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 4:
            os.killpg(0, signal.SIGKILL)
"""
KILLED_CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['mmseg_weakclip', 'killer'])
custom_hooks = [*_base_.custom_hooks, dict(type='KillHook')]
"""


def read_losses(work_dir) -> dict[int, dict]:
    """Logged values by iteration, of the last run."""
    path = max(Path(work_dir).glob('*/vis_data/scalars.json'))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        record['step']: {
            name: value for name, value in record.items() if 'time' not in name
        }
        for record in records
        if 'loss' in record
    }


def read_checkpoint(work_dir, name='iter_6.pth') -> dict:
    return torch.load(Path(work_dir) / name, weights_only=False)


def assert_same(one, other) -> None:
    """Equality of nested containers, tensors bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other):
            assert_same(*pair)
    else:
        assert one == other


def test_killed_training_goes_on_bit_for_bit(
    repo, tmp_path, trained, six_iterations, run_tool, run_script
):
    base = str(repo / 'configs/toyland/weakclip.py')
    (tmp_path / 'killer.py').write_text(KILLER)
    (tmp_path / 'killed.py').write_text(KILLED_CONFIG.format(base=base))
    work_dir = tmp_path / 'out'
    killed = run_script(
        'train',
        tmp_path / 'killed.py',
        '--work-dir',
        work_dir,
        options=(*six_iterations, 'train_dataloader.num_workers=2'),
        env={'PYTHONPATH': f'{repo}:{tmp_path}'},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(read_losses(work_dir)) == [1, 2, 3, 4]
    resume = ('--work-dir', work_dir, '--resume')
    run_tool('train', 'weakclip.py', *resume, options=six_iterations)
    whole = read_checkpoint(trained.work_dir)
    resumed = read_checkpoint(work_dir)
    for key in ('state_dict', 'optimizer', 'param_schedulers', 'random_state'):
        assert_same(resumed[key], whole[key])
    losses = read_losses(trained.work_dir)
    assert read_losses(work_dir) == {step: losses[step] for step in (4, 5, 6)}


def test_resume_without_a_checkpoint_starts_from_load_from(
    tmp_path, checkpoint, six_iterations, run_tool
):
    """Those weights are where it starts, not how far it has come."""
    options = (
        *six_iterations,
        f'load_from={checkpoint}',
        'train_cfg.max_iters=1',
        'optim_wrapper.optimizer.lr=0',
    )
    work_dir = tmp_path / 'out'
    run_tool(
        'train',
        'weakclip.py',
        *('--work-dir', work_dir, '--resume'),
        options=options,
    )
    assert list(read_losses(work_dir)) == [1]
    loaded = torch.load(checkpoint, weights_only=False)['state_dict']
    now = read_checkpoint(work_dir, 'iter_1.pth')['state_dict']
    trained = [name for name in now if name.endswith('weight')]
    assert len(trained) > 10
    for name in trained:
        assert torch.equal(now[name], loaded[name]), name


def test_checkpoint_holds_what_is_trained(trained, checkpoint):
    parameters = dict(trained.model.named_parameters())
    buffers = {name for name, _ in trained.model.named_buffers()}
    learnt = {n: p for n, p in parameters.items() if p.requires_grad}
    state = read_checkpoint(trained.work_dir)
    assert state['state_dict'].keys() - buffers == learnt.keys()
    # The weights and two moments of AdamW, in float32.
    size = sum(3 * 4 * p.numel() for p in learnt.values())
    assert size < checkpoint.stat().st_size < 1.05 * size
    groups = state['optimizer']['param_groups']
    assert sum(len(group['params']) for group in groups) == len(learnt)


def test_frozen_parts_stay_bit_identical(trained):
    new = dict(MODELS.build(trained.cfg.model).named_parameters())
    towers = {n: p for n, p in new.items() if '.tower.' in n}
    for part in 'backbone', 'neck.text':
        assert any(name.startswith(part) for name in towers)
    for name, value in trained.model.named_parameters():
        if name in towers:
            assert torch.equal(value, towers[name]), name
    before = read_checkpoint(trained.work_dir, 'iter_3.pth')['state_dict']
    after = read_checkpoint(trained.work_dir)['state_dict']
    contexts = 'neck.text.contexts'
    assert not torch.equal(before[contexts], after[contexts])


def test_amp_trains_as_well(tmp_path, trained, run_tool):
    work_dir = '--work-dir', tmp_path
    runner = run_tool('train', 'weakclip.py', '--amp', *work_dir, options=TWO)
    assert runner.val_loop.amp_dtype == torch.bfloat16
    losses, exact = read_losses(tmp_path), read_losses(trained.work_dir)
    assert math.isfinite(losses[2]['loss'])
    assert losses[1]['loss'] == pytest.approx(exact[1]['loss'], rel=0.02)
    assert losses[1]['loss'] != exact[1]['loss']


@pytest.mark.parametrize(
    ('there', 'wrapper', 'expected'),
    [
        (False, {}, dict(type='AmpValLoop', amp_dtype='bfloat16')),
        (True, {}, dict(type='AmpValLoop', amp_dtype='float16')),
        (
            True,
            dict(dtype='bfloat16'),
            dict(type='AmpValLoop', amp_dtype='bfloat16'),
        ),
    ],
)
def test_amp_validates_in_the_type_of_the_training(
    there, wrapper, expected, load_tool, monkeypatch
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: there)
    use_amp = load_tool('train.py').use_amp
    cfg = Config(dict(optim_wrapper=wrapper, val_cfg=dict(type='ValLoop')))
    use_amp(cfg)
    assert cfg.val_cfg == expected
    for kept in dict(type='MyLoop'), dict(type='ValLoop', fp16=True), None:
        cfg = Config(dict(optim_wrapper=dict(wrapper), val_cfg=kept))
        use_amp(cfg)
        assert cfg.val_cfg == kept


def test_amp_leaves_other_wrappers_alone(tmp_path, run_tool):
    with pytest.raises(SystemExit, match='already has AmpOptimWrapper'):
        run_tool(
            'train',
            'weakclip.py',
            '--amp',
            '--work-dir',
            tmp_path,
            options=[*ONE, 'optim_wrapper.type=AmpOptimWrapper'],
        )


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        (
            ('decode_head', 'auxiliary_head'),
            r'9 classes \(background, boat, car, ...\), but decode_head '
            r'\(TextGuidedHead\) has num_classes=8; auxiliary_head '
            r'\(TextScoreHead\) has num_classes=8',
        ),
        (
            ('neck',),
            'CoAttentionNeck has num_classes=8, but its text bank has 9 rows',
        ),
    ],
    ids=['heads', 'neck'],
)
def test_wrong_number_of_classes(tmp_path, run_tool, parts, message):
    with pytest.raises(ValueError, match=message):
        run_tool(
            'train',
            'weakclip.py',
            '--work-dir',
            tmp_path,
            options=[*ONE, *(f'model.{part}.num_classes=8' for part in parts)],
        )


def test_loss_that_is_not_finite(tmp_path, monkeypatch, run_tool):
    forward, calls = CAMSeedLoss.forward, []

    def spoil(self, *args, **kwargs):
        calls.append(self)
        return forward(self, *args, **kwargs) * (1, math.nan)[len(calls) - 1]

    monkeypatch.setattr(CAMSeedLoss, 'forward', spoil)
    message = r"iteration 2: .*'decode.loss_seed': nan.*/train_\d+\.jpg"
    with pytest.raises(FloatingPointError, match=message):
        run_tool(
            'train',
            'weakclip.py',
            '--work-dir',
            tmp_path,
            options=[*TWO, 'default_hooks.checkpoint.interval=1'],
        )
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']
    state = read_checkpoint(tmp_path, 'iter_1.pth')['state_dict']
    assert all(torch.isfinite(value).all() for value in state.values())
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last == str(tmp_path / 'iter_1.pth')


@pytest.mark.slow
def test_two_processes(tmp_path, run_script):
    done = run_script(
        'train',
        'weakclip.py',
        '--launcher=pytorch',
        '--work-dir',
        tmp_path,
        processes=2,
        options=[
            *TWO,
            # Synchronised normalisation needs GPUs.
            'model.backbone.adapter.norm_cfg.type=BN',
            'model.decode_head.norm_cfg.type=BN',
        ],
    )
    assert done.returncode == 0, done.stderr
    losses = read_losses(tmp_path)
    assert sorted(losses) == [1, 2]
    assert all(math.isfinite(values['loss']) for values in losses.values())
    assert (tmp_path / 'iter_2.pth').is_file()


def test_two_processes_are_one_with_twice_the_batch(
    tmp_path, run_tool, run_twice
):
    """Images meet the captions of all processes."""
    options = (
        *TWO,
        # Draws of groups and of hidden patches are each process's own.
        'model.backbone.group.tau=None',
        'model.auxiliary_head=None',
        # Steps in proportion to gradients, and far enough to be seen.
        'optim_wrapper.optimizer.eps=1',
        'optim_wrapper.optimizer.lr=0.1',
        'optim_wrapper.clip_grad=None',
        'param_scheduler=[]',
        'default_hooks.checkpoint.interval=1',
    )
    name = 'segclip.py'
    one, two = tmp_path / 'one', tmp_path / 'two'
    double = 'train_dataloader.batch_size=8'
    run_tool('train', name, '--work-dir', one, options=(*options, double))
    words = ('--launcher=pytorch', '--work-dir', two)
    run_twice('train', name, *words, options=options)
    first = read_checkpoint(one, 'iter_1.pth')['state_dict']
    whole = read_checkpoint(one, 'iter_2.pth')['state_dict']
    halves = read_checkpoint(two, 'iter_2.pth')['state_dict']
    assert halves.keys() == whole.keys()
    trained = [name for name in whole if 'group' in name]
    assert len(trained) > 20
    for name in trained:
        step = (whole[name] - first[name]).abs().max()
        error = (whole[name] - halves[name]).abs().max()
        assert error <= 1e-3 * step + 1e-7, name
