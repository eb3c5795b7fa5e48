"""The stages of a run on two machines, which are this one."""

import json
import os
import re
import subprocess

import pytest
import torch
from machines import free_port, run_together
from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.launch.machines import (
    check_training,
    parse_settings,
    write_script,
)
from mmseg_weakclip.apps.wsss.options import METHODS
from mmseg_weakclip.apps.wsss.stages import checkpoint_name, stages_of


def run_script(path, repo, machines=2) -> None:
    """Call the script of a run on each machine, one process on each."""
    port = free_port()
    environments = [
        dict(
            PYTHONPATH=str(repo),
            NNODES=str(machines),
            NODE_RANK=str(rank),
            GPUS='1',
            PORT=str(port),
        )
        for rank in range(machines)
    ]
    codes, printed = run_together(
        [(['bash', str(path)], own) for own in environments], path.parent
    )
    assert codes == [0] * machines, printed


def read_records(folder) -> list[set[str]]:
    return [
        {json.loads(line)['id'] for line in path.read_text().splitlines()}
        for path in sorted(folder.glob('records_*.jsonl'))
    ]


@pytest.mark.slow
def test_stages_done_on_two_machines_are_taken_over(
    call, data, small, repo, tmp_path
):
    out = tmp_path / 'out'
    words = (*data, '--work-dir', out, *small, '--max-side', '96')
    stdout, _ = call(*words, '--until', 'data')
    script = out / 'configs/machines.sh'
    assert f'on several machines: bash {script}' in stdout
    config = out / 'configs/segmenter.py'
    # Synchronised normalisation needs GPUs.
    config.write_text(config.read_text().replace('SyncBN', 'BN'))
    run_script(script, repo)
    for name in 'seeds', 'masks', 'predictions':
        first, second = read_records(out / name)
        assert len(first) == len(second) == 8
        assert not first & second
    times = {p: p.stat().st_mtime_ns for p in out.rglob('masks/*.png')}
    assert len(times) == 3 * 16
    stdout, _ = call('--work-dir', out, '--resume')
    assert 'train the segmenter: trained already' in stdout
    assert {p: p.stat().st_mtime_ns for p in times} == times
    manifest = json.loads((out / 'manifest.json').read_text())
    assert {s['state'] for s in manifest['stages']} == {'finished'}
    stdout, _ = call('--work-dir', out, '--resume')
    assert stdout.count('done before') == 8


@pytest.mark.parametrize('method', METHODS)
def test_script(make_run, method, tmp_path):
    run = make_run(method=method, clip='toyclip', amp=True)
    stages = stages_of(method)
    path = write_script(run, stages)
    text = path.read_text()
    assert not subprocess.run(['bash', '-n', path]).returncode
    lines = [
        line for line in text.splitlines()
        if line.startswith(('share ', 'refine '))
    ]  # fmt: skip
    names = [re.search(r'(\w+)\.py', line)[1] for line in lines]
    assert names == [stage.name for stage in stages if stage.config]
    for stage, line in zip((s for s in stages if s.config), lines):
        kind = 'test' if stage.kind == 'tags' else stage.kind
        first = 'refine' if kind == 'refine' else f'share {kind}'
        assert line.startswith(f'{first} ')
        assert ('--amp' in line) == (stage.kind != 'refine')
        assert ('--resume' in line) == (stage.kind == 'train')
    # Without GPUs here, none is used there.
    assert "export CUDA_VISIBLE_DEVICES=''" in text
    written = path.stat().st_mtime_ns
    write_script(run, stages)
    assert path.stat().st_mtime_ns == written


SETTINGS = """
model = dict(type='X', size=(3, -1), parts=[dict(rate=1e-05), None])
train_dataloader = dict(batch_size=2, num_workers=4)
train_cfg = dict(max_iters=12)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=0.1))
custom = {'a.b': True}
"""


@pytest.fixture
def training(make_run):
    """A training of a run, its config, and a checkpoint of some settings."""
    run = make_run(clip='toyclip', segmenter='fpn_small', iterations=12)
    stages = {stage.name: stage for stage in stages_of('excel')}
    stage = stages['segmenter']
    config = run.folder / 'configs/segmenter.py'
    config.parent.mkdir(parents=True)
    config.write_text(SETTINGS)
    path = run.folder / checkpoint_name(run, stage)
    path.parent.mkdir()

    def check(text, run=run) -> None:
        meta = dict(cfg=text) if text is not None else {}
        torch.save(dict(meta=meta, state_dict={}), path)
        check_training(run, stage, [stages['masks']])

    return run, check


def test_a_training_of_this_config_is_taken(training):
    _, check = training
    check(SETTINGS)
    # Workers belong to the machine; the launcher is no setting.
    check(SETTINGS.replace('num_workers=4', 'num_workers=0') + "launcher='x'")


def test_half_precision_is_part_of_a_training(training):
    run, check = training
    half = SETTINGS.replace("'OptimWrapper'", "'CPUAmpOptimWrapper'")
    with pytest.raises(UserError, match='half precision: true there, false'):
        check(half)
    options = {**run.options.to_json(), 'amp': True}
    run = type(run)(
        **{**vars(run), 'options': type(run.options).from_json(options)}
    )
    check(half, run)
    with pytest.raises(UserError, match='half precision: false there, true'):
        check(SETTINGS, run)


def test_a_training_of_another_config_is_refused(training):
    run, check = training
    with pytest.raises(UserError) as error:
        check(SETTINGS.replace('lr=0.1', 'lr=0.2'))
    said = str(error.value)
    assert 'iter_12.pth was not trained with' in said
    assert 'optim_wrapper.optimizer.lr: 0.2 there, 0.1 now' in said
    assert f'remove {run.folder / "segmenter"} to train again' in said


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (None, "'cfg'"),
        ('import os', "'import os' is no setting"),
        ('x = f()', 'malformed'),
        ('x =', 'no Python'),
    ],
)
def test_a_checkpoint_that_does_not_tell(training, text, said):
    _, check = training
    with pytest.raises(UserError, match=f'does not tell the .*{said}'):
        check(text)


def test_a_training_before_its_masks_is_refused(training):
    run, check = training
    check(SETTINGS)
    mask = run.folder / 'masks/masks/0.png'
    mask.parent.mkdir(parents=True)
    mask.touch()
    os.utime(mask, (2e9, 2e9))
    with pytest.raises(UserError, match='older than .*masks, which it should'):
        check(SETTINGS)


def test_settings_are_read_and_not_run():
    expected = Config.fromstring(SETTINGS, '.py').to_dict()
    assert parse_settings(SETTINGS) == expected
    text = Config.fromstring(SETTINGS, '.py').pretty_text
    assert parse_settings(text) == expected
