"""Four processes on two machines, which are this one."""

import json
import os
import sys

import numpy as np
import pytest
from machines import free_port, run_together
from PIL import Image

EVERYTHING = 'test_dataloader.dataset.ann_file='


KILLER = """
import os
import signal

from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class KillHook(Hook):
    def after_test_iter(self, runner, batch_idx, **kwargs):
        if os.environ['RANK'] == '2' and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['mmseg_weakclip', 'killer'])
custom_hooks = [*_base_.custom_hooks, dict(type='KillHook')]
"""


@pytest.fixture
def run_on_two_machines(repo, world, tool_command, tmp_path):
    """Run a tool by a torchrun on each, as docs/many-machines.md says.

    Returns their exit codes and what both printed.
    """

    def run(*args, processes=2, **kwargs) -> tuple[list[int], str]:
        port = free_port()
        words = [
            [
                *(sys.executable, '-m', 'torch.distributed.run'),
                *('--nnodes', '2', '--node-rank', str(rank)),
                *('--master-addr', '127.0.0.1', '--master-port', str(port)),
                *('--nproc-per-node', str(processes)),
                *tool_command(*args, **kwargs),
            ]
            for rank in range(2)
        ]
        environment = dict(
            PYTHONPATH=f'{repo}{os.pathsep}{tmp_path}', CUDA_VISIBLE_DEVICES=''
        )
        return run_together(
            [(own, environment) for own in words], tmp_path, world
        )

    return run


def read_records(folder) -> list[list[str]]:
    """Ids of the images that each process has written."""
    return [
        [json.loads(line)['id'] for line in path.read_text().splitlines()]
        for path in sorted(folder.glob('records_*.jsonl'))
    ]


def read_masks(folder) -> dict[str, np.ndarray]:
    return {
        path.stem: np.asarray(Image.open(path))
        for path in (folder / 'masks').iterdir()
    }


@pytest.mark.slow
def test_a_rank_is_killed_and_its_masks_are_made_again(
    tmp_path, run_tool, run_on_two_machines, repo
):
    def words(name, config='seeds.py'):
        folders = ('--out', tmp_path / name, '--work-dir', tmp_path / 'work')
        return 'test', config, *folders

    options = (EVERYTHING, 'test_dataloader.batch_size=1')
    run_tool(*words('one'), options=options)
    expected = read_masks(tmp_path / 'one')
    (tmp_path / 'killer.py').write_text(KILLER)
    killed = tmp_path / 'killed.py'
    base = str(repo / 'configs/toyland/seeds.py')
    killed.write_text(KILLED_CONFIG.format(base=base))
    codes, printed = run_on_two_machines(
        *words('four', killed), '--launcher=pytorch', options=options
    )
    # torchrun ends the other three.
    assert all(codes), printed
    assert 'SIGKILL' in printed or 'Signal 9' in printed
    out = tmp_path / 'four'
    before = read_records(out)
    assert len(before[2]) == 2
    assert 2 <= len(sum(before, [])) < len(expected)
    # As if it had died a moment earlier, while it wrote its last record.
    path = out / 'records_2.jsonl'
    path.write_text(path.read_text()[:-5])
    unsure = before[2].pop()
    finished = sum(before, [])
    times = {p.stem: p.stat().st_mtime_ns for p in out.glob('masks/*.png')}
    # The number of processes need not be the same.
    codes, printed = run_on_two_machines(
        *words('four'), '--launcher=pytorch', processes=1, options=options
    )
    assert codes == [0, 0], printed
    again = {p.stem: p.stat().st_mtime_ns for p in out.glob('masks/*.png')}
    assert all(again[name] == times[name] for name in finished)
    assert again[unsure] != times[unsure]
    # No two processes write one of them.
    shares = [
        [json.loads(line)['id'] for line in lines if line.endswith('}')]
        for lines in (
            path.read_text().splitlines()
            for path in out.glob('records_*.jsonl')
        )
    ]
    assert sorted(sum(shares, [])) == sorted(expected)
    masks = read_masks(out)
    assert masks.keys() == expected.keys()
    for name, mask in masks.items():
        assert np.array_equal(mask, expected[name])
