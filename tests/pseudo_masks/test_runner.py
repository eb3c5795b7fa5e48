"""A stock Runner whose config has a writer but not the hook."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from PIL import Image

from mmseg_weakclip.pseudo_masks.hook import PseudoMaskHook

SIZE = (24, 32)
CLASSES = ('background', 'a', 'b')


@HOOKS.register_module(force=True)
class StopAfter(Hook):
    """End the process after some images, as a kill would."""

    priority = 'LOWEST'

    def __init__(self, images):
        self.images = images

    def after_test_iter(self, runner, batch_idx, *args, **kwargs):
        if batch_idx + 1 == self.images:
            raise KeyboardInterrupt


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for folder, high, kind in (('images', 256, '.jpg'), ('truth', 3, '.png')):
        (tmp_path / folder).mkdir()
        for index in range(4):
            shape = (*SIZE, 3) if high == 256 else SIZE
            image = rng.integers(0, high, shape, dtype=np.uint8)
            path = tmp_path / folder / f'img{index}{kind}'
            Image.fromarray(image).save(path)
    return tmp_path


@pytest.fixture
def make_config(images):
    """Config over four images; nothing in it comes from our bases."""
    count = 0

    def make(hooks=(), seed=0, scale=1.0, wrap=False, **writer):
        nonlocal count
        count += 1
        dataset = dict(
            type='BaseSegDataset',
            data_root=str(images),
            data_prefix=dict(img_path='images', seg_map_path='truth'),
            metainfo=dict(classes=CLASSES, palette=[[0] * 3] * 3),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale_factor=scale),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
        if wrap:
            dataset = dict(type='ConcatDataset', datasets=[dataset])
        cfg = dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['mmseg_weakclip']),
            custom_hooks=list(hooks),
            experiment_name=f'{images.name}-{count}',
            work_dir=str(images / 'work'),
            # Random weights, which are others with another seed.
            randomness=dict(seed=seed),
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor'),
                backbone=dict(
                    type='ResNetV1c',
                    depth=18,
                    base_channels=4,
                    stem_channels=4,
                ),
                decode_head=dict(
                    type='FCNHead',
                    in_channels=32,
                    channels=32,
                    num_convs=0,
                    concat_input=False,
                    num_classes=3,
                ),
                test_cfg=dict(mode='whole'),
            ),
            test_dataloader=dict(
                batch_size=1,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset,
            ),
            test_cfg=dict(type='TestLoop'),
            test_evaluator=dict(
                type='PseudoMaskWriter',
                output_dir=str(images / 'out'),
                par=dict(iterations=1),
                workers=0,
                **writer,
            ),
        )
        return Config(cfg)

    return make


@pytest.fixture
def make_runner(make_config):
    return lambda **kwargs: Runner.from_cfg(make_config(**kwargs))


@pytest.fixture
def written(images):
    """When each mask was written, by name."""
    return lambda: {
        path.name: path.stat().st_mtime_ns
        for path in (images / 'out/masks').iterdir()
    }


def test_no_hook_line_is_needed(make_runner, written):
    runner = make_runner()
    scores = runner.test()
    assert set(scores) == {
        'pseudo_mask/raw_mIoU',
        'pseudo_mask/refined_mIoU',
    }
    assert set(written()) == {f'img{i}.png' for i in range(4)}


@pytest.mark.parametrize('wrap', [False, True], ids=['plain', 'wrapped'])
def test_finished_images_are_not_run_again(make_runner, written, wrap):
    with pytest.raises(KeyboardInterrupt):
        make_runner(hooks=[dict(type='StopAfter', images=3)], wrap=wrap).test()
    before = written()
    assert len(before) == 3
    runner = make_runner(wrap=wrap)
    scores = runner.test()
    assert len(runner.test_dataloader.dataset) == 1
    after = written()
    assert len(after) == 4
    assert before.items() <= after.items()
    # Once more, with the same runner and another: nothing is left to do.
    assert runner.test() == scores
    assert make_runner(wrap=wrap).test() == scores
    assert written() == after


def test_data_sets_that_cannot_list_their_images(make_runner, written):
    """The network runs again, but finished masks stay as they are."""
    make_runner().test()
    before = written()
    runner = make_runner()
    dataset = runner.test_loop.dataloader.dataset
    listed = torch.utils.data.Subset(dataset, range(4))
    listed.metainfo = dataset.metainfo
    runner.test_loop.dataloader = runner.build_dataloader(
        dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=listed,
        )
    )
    runner.test()
    assert len(runner.test_dataloader.dataset) == 4
    assert written() == before


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (dict(min_score=0.5), r'writer\.min_score: 0\.0 there, 0\.5 now'),
        (dict(scale=2.0), 'pipeline: '),
        (dict(seed=1), 'weights: '),
    ],
)
def test_other_settings_are_refused(make_runner, written, changed, message):
    make_runner().test()
    before = written()
    with pytest.raises(ValueError, match=f'other settings .*{message}'):
        make_runner(**changed).test()
    assert written() == before


def test_configs_with_the_hook_line_keep_working(make_runner, written):
    """Both kinds of configs may go on with each other's folders."""
    make_runner().test()
    before = written()
    runner = make_runner(hooks=[dict(type='PseudoMaskHook')])
    runner.test()
    hooks = [h for h in runner.hooks if isinstance(h, PseudoMaskHook)]
    assert len(hooks) == 1
    assert len(runner.test_dataloader.dataset) == 0
    assert written() == before


def test_a_writer_that_is_an_object_already(make_runner, written):
    runner = make_runner()
    evaluator = runner.build_evaluator(runner.cfg.test_evaluator)
    assert not any(isinstance(h, PseudoMaskHook) for h in runner.hooks)
    runner._test_evaluator = evaluator
    runner.test()
    assert len(written()) == 4


PROCESS = """
import sys
from mmengine import Config
from mmengine.runner import Runner
from mmseg_weakclip.engine.runner import use_cpu_processes

cfg = Config.fromfile(sys.argv[1])
use_cpu_processes(cfg)
cfg.launcher = 'pytorch'
Runner.from_cfg(cfg).test()
"""


def test_processes_share_what_is_left(make_config, make_runner, images):
    stop = [dict(type='StopAfter', images=1)]
    with pytest.raises(KeyboardInterrupt):
        make_runner(hooks=stop).test()
    make_config().dump(images / 'config.py')
    (images / 'process.py').write_text(PROCESS)
    launcher = ('-m', 'torch.distributed.run', '--standalone')
    done = subprocess.run(
        [
            *(sys.executable, *launcher, '--nproc-per-node', '2'),
            *(images / 'process.py', images / 'config.py'),
        ],
        capture_output=True,
        text=True,
        env=dict(os.environ, CUDA_VISIBLE_DEVICES=''),
    )
    assert done.returncode == 0, done.stderr
    assert '1 of 4 pseudo masks are finished already' in done.stdout
    lines = [
        (images / f'out/records_{rank}.jsonl').read_text().splitlines()
        for rank in (0, 1)
    ]
    assert [len(own) for own in lines] == [1 + 2, 1]
    together = {
        path.name: path.read_bytes()
        for path in (images / 'out/masks').iterdir()
    }
    (images / 'out').rename(images / 'shared')
    make_runner().test()
    assert together == {
        path.name: path.read_bytes()
        for path in (images / 'out/masks').iterdir()
    }
