import copy
import itertools
import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from mmseg_weakclip.datasets.sampler import (
    Draw,
    ResumableSampler,
    draw_randomness,
)


def draws(sampler, count: int) -> list[tuple[int, int]]:
    return [
        (int(draw), draw.position) for draw in itertools.islice(sampler, count)
    ]


def in_world(monkeypatch, rank: int, size: int) -> None:
    monkeypatch.setattr(
        'mmseg_weakclip.datasets.sampler.get_dist_info',
        lambda: (rank, size),
    )


def test_every_epoch_is_another_permutation():
    sampler = ResumableSampler(range(7), seed=3)
    stream = draws(sampler, 21)
    assert [position for _, position in stream] == list(range(21))
    epochs = [[i for i, _ in stream[k : k + 7]] for k in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert draws(ResumableSampler(range(7), seed=3), 21) == stream
    assert draws(ResumableSampler(range(7), seed=4), 21) != stream


def test_neighbouring_seeds_share_no_epoch():
    first = draws(ResumableSampler(range(50), seed=0), 100)
    second = draws(ResumableSampler(range(50), seed=1), 50)
    assert [i for i, _ in first[50:]] != [i for i, _ in second]


def test_order_without_shuffling():
    sampler = ResumableSampler(range(3), shuffle=False, seed=0)
    assert [i for i, _ in draws(sampler, 5)] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize('count', [0, 1, 6, 7, 8, 100])
def test_skipping_equals_drawing(count):
    whole = draws(ResumableSampler(range(7), seed=1), count + 20)
    sampler = ResumableSampler(range(7), seed=1)
    sampler.skip(count)
    assert draws(sampler, 20) == whole[count:]
    # The count is absolute.
    sampler.skip(count)
    assert draws(sampler, 20) == whole[count:]


@pytest.mark.parametrize('skipped', [0, 5])
def test_ranks_share_one_stream(monkeypatch, skipped):
    whole = draws(ResumableSampler(range(7), seed=1), 60)
    parts = []
    for rank in range(3):
        in_world(monkeypatch, rank, 3)
        sampler = ResumableSampler(range(7), seed=1)
        sampler.skip(skipped)
        parts.append(draws(sampler, 20 - skipped))
    merged = [draw for step in zip(*parts) for draw in step]
    assert merged == whole[3 * skipped :]


def test_bad_arguments():
    with pytest.raises(ValueError, match='has no images to sample'):
        ResumableSampler([], seed=0)
    with pytest.raises(ValueError, match='-1'):
        ResumableSampler(range(3), seed=0).skip(-1)


def test_draw_is_an_index():
    draw = Draw(5, seed=1, position=9)
    assert list(range(10))[draw] == draw == 5
    assert np.arange(10)[draw] == 5
    for other in (pickle.loads(pickle.dumps(draw)), copy.deepcopy(draw)):
        assert (other, other.seed, other.position) == (5, 1, 9)
    for other, value in ((draw - 3, 2), (draw % 3, 2)):
        assert isinstance(other, Draw)
        assert (other, other.seed, other.position) == (value, 1, 9)


def numbers() -> tuple[float, ...]:
    return (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002


def test_randomness_depends_on_the_draw_only():
    found = {}
    for seed, position in itertools.product((0, 1), (0, 1)):
        with draw_randomness(Draw(3, seed, position)):
            found[seed, position] = numbers()
        numbers()
        with draw_randomness(Draw(4, seed, position)):
            assert numbers() == found[seed, position]
    flat = [number for group in found.values() for number in group]
    assert len(set(flat)) == len(flat)


def test_randomness_outside_is_untouched():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = numbers(), numbers()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    first = numbers()
    with draw_randomness(Draw(0, 0, 0)):
        numbers()
    assert (first, numbers()) == expected
    with pytest.raises(RuntimeError), draw_randomness(Draw(0, 0, 0)):
        raise RuntimeError
    after = numbers()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    numbers(), numbers()
    assert numbers() == after


def loader(dataset, workers: int, seed: int = 7):
    return Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=workers,
            dataset=dataset,
            sampler=dict(type='ResumableSampler'),
            collate_fn=dict(type='pseudo_collate'),
        ),
        seed=seed,
    )


def same(first: list[dict], second: list[dict]) -> bool:
    """Whether two lists of batches are bit-identical."""
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a['inputs'], b['inputs'], strict=True):
            if not torch.equal(x, y):
                return False
        for x, y in zip(a['data_samples'], b['data_samples'], strict=True):
            if x.img_id != y.img_id or not torch.equal(
                x.gt_sem_seg.data, y.gt_sem_seg.data
            ):
                return False
    return True


def wrap(name: str, config: dict):
    if name == 'plain':
        return DATASETS.build(config)
    if name == 'concat':
        return ConcatDataset([DATASETS.build(config) for _ in range(2)])
    return RepeatDataset(DATASETS.build(config), times=2)


@pytest.mark.parametrize('name', ['plain', 'concat', 'repeat'])
def test_augmentation_is_the_same_with_any_workers(weak_config, name):
    dataset = wrap(name, weak_config())
    first = list(itertools.islice(loader(dataset, 0), 8))
    np.random.seed(5)  # noqa: NPY002
    second = list(itertools.islice(loader(dataset, 2), 8))
    assert same(first, second)
    assert not same(first, list(itertools.islice(loader(dataset, 0, 8), 8)))


@pytest.mark.parametrize('name', ['plain', 'concat', 'repeat'])
def test_skipped_loader_goes_on_bit_exactly(weak_config, name):
    dataset = wrap(name, weak_config())
    whole = list(itertools.islice(loader(dataset, 0), 8))
    resumed = loader(dataset, 2)
    resumed.sampler.skip(3 * 2)
    assert same(list(itertools.islice(resumed, 5)), whole[3:])


def test_the_same_image_is_augmented_anew(weak_config):
    dataset = DATASETS.build(weak_config())
    first = dataset[Draw(0, 1, 10)]['inputs']
    assert torch.equal(dataset[Draw(0, 1, 10)]['inputs'], first)
    assert not torch.equal(dataset[Draw(0, 1, 16)]['inputs'], first)


def test_plain_indices_draw_from_the_global_generators(weak_config):
    dataset = DATASETS.build(weak_config())
    np.random.seed(0)  # noqa: NPY002
    first = [dataset[0]['inputs'] for _ in range(4)]
    np.random.seed(0)  # noqa: NPY002
    again = [dataset[0]['inputs'] for _ in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not all(torch.equal(first[0], a) for a in first[1:])


class Tiny(BaseModel):
    """One weight; notes the images that it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[float] = []

    def forward(self, inputs, data_samples, mode='tensor'):
        mean = torch.stack([image.float().mean() for image in inputs]).mean()
        self.seen.append(mean.item())
        return dict(loss=self.weight * mean / 255)


class Stop(Hook):
    """Ends the training early, as a kill would."""

    def __init__(self, at: int) -> None:
        self.at = at

    def after_train_iter(self, runner, batch_idx, **kwargs) -> None:
        if runner.iter + 1 == self.at:
            runner.train_loop.stop_training = True


def train(folder, config, workers: int, resume=False, stop=None) -> Tiny:
    model = Tiny()
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=dict(
            batch_size=2,
            num_workers=workers,
            dataset=config,
            sampler=dict(type='ResumableSampler'),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3)
        ),
        custom_hooks=[
            dict(type='CheckDatasetHook'),
            *([Stop(stop)] if stop else []),
        ],
        randomness=dict(seed=11),
        default_scope='mmseg',
        experiment_name=f'{folder.name}-{workers}-{resume}',
        resume=resume,
    )
    runner.train()
    return model


def test_resumed_run_sees_the_same_images(weak_config, tmp_path):
    whole = train(tmp_path / 'whole', weak_config(), 0)
    begun = train(tmp_path / 'parts', weak_config(), 2, stop=3)
    rest = train(tmp_path / 'parts', weak_config(), 2, resume=True)
    assert begun.seen + rest.seen == whole.seen
    assert torch.equal(rest.weight, whole.weight)
