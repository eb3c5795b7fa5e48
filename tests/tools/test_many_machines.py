"""Four processes on two machines, which are this one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

EVERYTHING = 'test_dataloader.dataset.ann_file='


@pytest.fixture
def run_on_two_machines(repo, world, tool_command, tmp_path):
    """Run a tool by a torchrun on each, as docs/many-machines.md says."""

    def run(*args, **kwargs) -> None:
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        agents = []
        for rank in range(2):
            log = (tmp_path / f'machine{rank}.log').open('w+')
            agents.append(
                subprocess.Popen(
                    [
                        *(sys.executable, '-m', 'torch.distributed.run'),
                        *('--nnodes', '2', '--node-rank', str(rank)),
                        *('--master-addr', '127.0.0.1'),
                        *('--master-port', str(port)),
                        *('--nproc-per-node', '2'),
                        *tool_command(*args, **kwargs),
                    ],
                    cwd=world,
                    env={
                        **os.environ,
                        'PYTHONPATH': str(repo),
                        'OMP_NUM_THREADS': '1',
                        'CUDA_VISIBLE_DEVICES': '',
                    },
                    start_new_session=True,
                    stdout=log,
                    stderr=log,
                )
            )
        try:
            codes = [agent.wait(timeout=400) for agent in agents]
        finally:
            for agent in agents:
                agent.kill()
        assert codes == [0, 0], (tmp_path / 'machine0.log').read_text()

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
def test_masks_are_shared_out_and_resumed(
    tmp_path, run_tool, run_on_two_machines
):
    def words(name):
        folders = ('--out', tmp_path / name, '--work-dir', tmp_path / 'work')
        return 'test', 'seeds.py', *folders

    options = (EVERYTHING, 'test_dataloader.batch_size=1')
    run_tool(*words('one'), options=options)
    expected = read_masks(tmp_path / 'one')
    out = tmp_path / 'four'
    run_on_two_machines(*words('four'), '--launcher=pytorch', options=options)
    shares = read_records(out)
    # Thirteen images: no two processes write one of them.
    assert [len(share) for share in shares] == [4, 3, 3, 3]
    assert sorted(sum(shares, [])) == sorted(expected)
    # A process died: its last mask has no record, or is not there.
    path = out / 'records_2.jsonl'
    *kept, unsure, lost = path.read_text().splitlines(keepends=True)
    path.write_text(''.join(kept) + unsure[:-5])
    missing = [json.loads(line)['id'] for line in (unsure, lost)]
    (out / f'masks/{missing[1]}.png').unlink()
    times = {p.stem: p.stat().st_mtime_ns for p in out.glob('masks/*.png')}
    run_on_two_machines(*words('four'), '--launcher=pytorch', options=options)
    again = {p.stem: p.stat().st_mtime_ns for p in out.glob('masks/*.png')}
    changed = [name for name in again if again[name] != times.get(name)]
    assert sorted(changed) == sorted(missing)
    masks = read_masks(out)
    assert masks.keys() == expected.keys()
    for name, mask in masks.items():
        assert np.array_equal(mask, expected[name])


@pytest.mark.slow
def test_training(tmp_path, run_on_two_machines):
    run_on_two_machines(
        'train',
        'weakclip.py',
        '--launcher=pytorch',
        '--work-dir',
        tmp_path / 'work',
        options=[
            'train_cfg.max_iters=2',
            'train_cfg.val_interval=2',
            # Synchronised normalisation needs GPUs.
            'model.backbone.adapter.norm_cfg.type=BN',
            'model.decode_head.norm_cfg.type=BN',
            'train_dataloader.batch_size=2',
        ],
    )
    work = tmp_path / 'work'
    assert (work / 'iter_2.pth').is_file()
    (scalars,) = work.glob('*/vis_data/scalars.json')
    lines = map(json.loads, scalars.read_text().splitlines())
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
