import io
import itertools
import json
import re
import sys
import tarfile
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weakclip.common.images import decode_color_image
from mmseg_weakclip.datasets.captions.shards import (
    expand_shards,
    read_shard,
)
from mmseg_weakclip.datasets.checks.dataset import check_dataset

SHARDS, PER_SHARD = 6, 5
PACK = [
    dict(type='RandomResizedCrop', crop_size=(8, 10)),
    dict(type='PackCaptionInputs'),
]


def jpeg(seed, size=(18, 12)):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format='JPEG')
    return buffer.getvalue()


def write_tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def files_of(shard, changes=()):
    """What img2dataset writes: image, caption, and JSON of both."""
    files = {}
    for index in range(PER_SHARD):
        key = f'{shard:05d}{index:04d}'
        caption = f'text {key}'
        meta = dict(caption=caption, key=key, width=18)
        files[f'{key}.jpg'] = jpeg(shard * PER_SHARD + index)
        files[f'{key}.json'] = json.dumps(meta).encode()
        files[f'{key}.txt'] = caption.encode()
    for name, data in dict(changes).items():
        files[name] = data
    return {name: data for name, data in files.items() if data is not None}


@pytest.fixture
def root(tmp_path):
    for shard in range(SHARDS):
        write_tar(tmp_path / f'tars/{shard:05d}.tar', files_of(shard))
    return tmp_path


@pytest.fixture
def config(root):
    def build(**changes):
        settings = dict(
            type='WebDatasetCaptions',
            data_root=str(root),
            shards='tars/{00000..00005}.tar',
            shuffle_buffer=4,
            pipeline=PACK,
        )
        return {**settings, **changes}

    return build


@pytest.fixture
def said(monkeypatch):
    """What a stream logs, in this process."""
    messages = []
    monkeypatch.setattr(
        'mmseg_weakclip.datasets.captions.tally.print_log',
        lambda message, **kwargs: messages.append(message),
    )
    return messages


def take(dataset, count):
    return [
        (s['data_samples'].img_id, s['inputs'].sum().item())
        for s in itertools.islice(dataset, count)
    ]


def ids(samples):
    return [image_id for image_id, _ in samples]


ALL = [f'{s:05d}{i:04d}' for s in range(SHARDS) for i in range(PER_SHARD)]


def test_every_epoch_holds_every_sample_once(config):
    stream = take(DATASETS.build(config()), 3 * len(ALL))
    epochs = [
        ids(stream[k : k + len(ALL)]) for k in range(0, len(stream), len(ALL))
    ]
    assert all(sorted(epoch) == ALL for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert take(DATASETS.build(config()), len(stream)) == stream
    assert take(DATASETS.build(config(seed=0)), len(stream)) == stream
    assert take(DATASETS.build(config(seed=1)), 10) != stream[:10]


def draw_number(results):
    """A pipeline of one random number."""
    return results['img_id'], np.random.rand()  # noqa: NPY002


def test_every_sample_has_randomness_of_its_own(config):
    """In all epochs and workers, and the same again after skipping."""
    settings = config(pipeline=[draw_number])
    collate = dict(collate_fn=list, batch_size=2, num_workers=2, sampler=None)

    def draw(dataset, count):
        loader = Runner.build_dataloader(dict(dataset=dataset, **collate), 0)
        return list(itertools.chain(*itertools.islice(loader, count)))

    drawn = draw(DATASETS.build(settings), 40)
    assert len({number for _, number in drawn}) == 80
    dataset = DATASETS.build(settings)
    dataset.skip(21, 2)
    assert draw(dataset, 3) == drawn[42:48]


def test_no_shuffling_within_shards(config):
    found = ids(take(DATASETS.build(config(shuffle_buffer=0)), len(ALL)))
    shards = [
        found[k : k + PER_SHARD] for k in range(0, len(found), PER_SHARD)
    ]
    assert all(shard == sorted(shard) for shard in shards)
    assert sorted(found) == ALL != found


def test_a_sample(config, root):
    dataset = DATASETS.build(config(pipeline=[], shuffle_buffer=0))
    for sample in itertools.islice(dataset, len(ALL)):
        key = sample['img_id']
        seed = int(key[:5]) * PER_SHARD + int(key[5:])
        assert np.array_equal(
            sample['img'], decode_color_image(jpeg(seed), '')
        )
        assert sample['caption'] == f'text {key}'
        assert sample['img_name'] == f'tars/{key[:5]}/{key}.jpg'
        path = f'{root}/tars/{key[:5]}.tar/{key}.jpg'
        assert sample['img_path'] == path
        assert sample['img_shape'] == sample['ori_shape'] == (12, 18)


def test_caption_from_json(config, root, said):
    changes = {}
    for index in range(PER_SHARD):
        key = f'{7:05d}{index:04d}'
        meta = dict(alt='an alt', caption=None if index else 'a caption')
        changes[f'{key}.txt'] = None
        changes[f'{key}.json'] = json.dumps(meta).encode()
    write_tar(root / 'tars/json.tar', files_of(7, changes))
    one = dict(shards='tars/json.tar', pipeline=[])
    captions = [
        sample['caption']
        for key in ('caption', 'alt')
        for sample in itertools.islice(
            DATASETS.build(config(**one, caption_key=key)), 3
        )
    ]
    assert captions == ['a caption'] * 3 + ['an alt'] * 3
    assert any('skipped 4 blank captions and 0 bad' in text for text in said)


def loader_of(dataset, workers, batch_size=2):
    return Runner.build_dataloader(
        dict(
            batch_size=batch_size,
            num_workers=workers,
            dataset=dataset,
            sampler=None,
        ),
        seed=0,
    )


def batches(loader, count):
    return [
        [
            (s.img_id, x.sum().item())
            for s, x in zip(batch['data_samples'], batch['inputs'])
        ]
        for batch in itertools.islice(loader, count)
    ]


@pytest.mark.parametrize('workers', [0, 2, 3])
@pytest.mark.parametrize('skipped', [1, 4, 23])
def test_skipping_equals_drawing(config, workers, skipped):
    whole = batches(loader_of(config(), workers), skipped + 5)
    dataset = DATASETS.build(config())
    dataset.skip(skipped, 2)
    assert batches(loader_of(dataset, workers), 5) == whole[skipped:]
    # The count is absolute.
    dataset.skip(skipped, 2)
    assert batches(loader_of(dataset, workers), 2) == whole[skipped:][:2]


def test_skipping_decodes_nothing(config, monkeypatch):
    decoded = []

    def decode(content, path):
        decoded.append(path)
        return decode_color_image(content, path)

    monkeypatch.setattr(
        'mmseg_weakclip.datasets.captions.stream.decode_color_image',
        decode,
    )
    dataset = DATASETS.build(config())
    dataset.skip(20, 2)
    take(dataset, 3)
    assert len(decoded) == 3


def test_workers_and_ranks_share_an_epoch(config, monkeypatch):
    found = []
    for rank in range(2):
        monkeypatch.setattr(
            'mmseg_weakclip.datasets.captions.stream.get_dist_info',
            lambda rank=rank: (rank, 2),
        )
        # 3 workers, each with 1 of 6 shards: 5 batches of 1 sample.
        found += itertools.chain(
            *batches(loader_of(config(), 3, batch_size=1), 15)
        )
    assert sorted(ids(found)) == ALL


def test_fewer_shards_than_workers(config):
    loader = loader_of(config(shards='tars/{00000..00001}.tar'), 3)
    with pytest.raises(ValueError, match=r'2 shards .* num_workers=2, or cut'):
        next(iter(loader))


def test_bad_arguments(config, root, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r'2 of 8 shards .*first is .*tars/00006\.tar'
    ):
        DATASETS.build(config(shards='tars/{00000..00007}.tar'))
    with pytest.raises(ValueError, match='given no shards'):
        DATASETS.build(config(shards=[]))
    with pytest.raises(ValueError, match=r'00001\.tar is listed twice'):
        DATASETS.build(
            config(shards=['tars/{00000..00001}.tar', 'tars/00001.tar'])
        )
    with pytest.raises(ValueError, match='max_bad_share=1.5'):
        DATASETS.build(config(max_bad_share=1.5))
    with pytest.raises(ValueError, match='take LoadColorImage out'):
        DATASETS.build(config(pipeline=[dict(type='LoadColorImage'), *PACK]))
    with pytest.raises(ValueError, match='-1'):
        DATASETS.build(config()).skip(-1, 2)
    monkeypatch.setitem(sys.modules, 'webdataset', None)
    with pytest.raises(ImportError, match=r'mmseg_weakclip\[segclip\]'):
        DATASETS.build(config())


def test_urls_are_taken_as_they_are():
    urls = expand_shards(['https://x.y/{0..1}.tar', 'pipe:cat a.tar'], 'root')
    assert urls == [
        'https://x.y/0.tar',
        'https://x.y/1.tar',
        'pipe:cat a.tar',
    ]


def test_pipes_are_read(config, root):
    url = f'pipe:cat {root}/tars/00002.tar'
    dataset = DATASETS.build(config(shards=[url], shuffle_buffer=0))
    assert ids(take(dataset, 5)) == ALL[10:15]


def damage(path, how):
    content = bytearray(path.read_bytes())
    headers = [
        i
        for i in range(0, len(content), 512)
        if content[i + 257 : i + 262] == b'ustar'
    ]
    if how == 'cut':
        # In the middle of the third sample's image.
        content = content[: headers[6] + 700]
    elif how == 'header':
        content[headers[6]] ^= 0xFF
    elif how == 'noise':
        content = bytearray(b'no tar at all' * 200)
    elif how == 'empty':
        content = bytearray()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ('how', 'left'), [('cut', 1), ('header', 1), ('noise', 0), ('empty', 0)]
)
def test_damaged_shard(config, root, said, how, left):
    path = root / 'tars/00003.tar'
    damage(path, how)
    total = len(ALL) - PER_SHARD + left
    found = ids(take(DATASETS.build(config(max_bad_share=0.2)), total))
    lost = ALL[3 * PER_SHARD + left : 4 * PER_SHARD]
    assert sorted(found) == sorted(set(ALL) - set(lost))
    text = next(text for text in said if 'damaged' in text)
    assert str(path) in text
    assert 'bad shard 1 of 6' in text
    with pytest.raises(
        ValueError, match=r'1 of 6 .*00003\.tar.*max_bad_share'
    ):
        take(DATASETS.build(config(max_bad_share=0.1)), total + 1)
    for share, severity in ((0.2, 'warning'), (0.1, 'error')):
        dataset = DATASETS.build(config(max_bad_share=share))
        (problem,) = check_dataset(dataset)
        assert (problem.kind, problem.severity) == ('damaged-shard', severity)
        assert problem.item == str(path)


def test_damaged_shard_and_skipping(config, root, said):
    damage(root / 'tars/00003.tar', 'header')
    settings = config(max_bad_share=0.2)
    whole = batches(loader_of(settings, 0), 30)
    dataset = DATASETS.build(settings)
    dataset.skip(17, 2)
    assert batches(loader_of(dataset, 0), 13) == whole[17:]


BAD = {
    'no image': {'000020001.jpg': None},
    'image is cut off': {'000020001.jpg': jpeg(3)[:-20]},
    # Found in decoding only: the tables are gone, the markers are there.
    'is damaged or not an image': {
        '000020001.jpg': b'\xff\xd8\xff\xda' + bytes(50) + b'\xff\xd9'
    },
    'no caption file': {'000020001.txt': None, '000020001.json': None},
    'caption is broken': {
        '000020001.txt': None,
        '000020001.json': b'{"caption": ',
    },
    r"broken \(KeyError\('caption'\)\)": {
        '000020001.txt': None,
        '000020001.json': b'{}',
    },
}


@pytest.mark.parametrize('problem', BAD)
def test_bad_sample(config, root, said, problem):
    path = root / 'tars/00002.tar'
    write_tar(path, files_of(2, BAD[problem]))
    settings = config(max_bad_share=0.05)
    found = Counter(ids(take(DATASETS.build(settings), 60)))
    assert '000020001' not in found
    assert set(found) == set(ALL) - {'000020001'}
    texts = [t for t in said if re.search(problem, t)]
    assert f'{path}, 000020001' in texts[0]
    assert 'bad sample 1 of' in texts[0]
    with pytest.raises(ValueError, match=r'1 of 30 samples .*max_bad_share'):
        take(DATASETS.build(config(max_bad_share=0.03)), 31)
    (found,) = check_dataset(DATASETS.build(settings))
    assert (found.kind, found.severity) == ('bad-sample', 'warning')
    assert re.search(problem, found.message)


@pytest.mark.parametrize('problem', ['is damaged or not an image', 'no image'])
def test_bad_samples_and_skipping(config, root, said, problem):
    """Whatever a sample fails by, the position is the same."""
    changes = dict(BAD[problem])
    # Two that follow each other.
    changes['000020002.jpg'] = changes['000020001.jpg']
    write_tar(root / 'tars/00002.tar', files_of(2, changes))
    settings = config(max_bad_share=0.1, shuffle_buffer=0)
    whole = take(DATASETS.build(settings), 90)
    for count in range(31):
        dataset = DATASETS.build(settings)
        dataset.skip(count, 1)
        assert take(dataset, 4) == whole[count : count + 4]
    counts = Counter(ids(whole[:30]))
    if problem == 'is damaged or not an image':
        # The next one fills both places.
        assert max(counts.values()) == 3
        assert sorted(counts) == sorted(set(ALL) - set(ALL[11:13]))


def test_many_bad_samples_stop_at_once(config, root, said, monkeypatch):
    monkeypatch.setattr(
        'mmseg_weakclip.datasets.captions.tally.JUDGED_FROM', 8
    )
    changes = {f'{2:05d}{i:04d}.jpg': b'' for i in range(PER_SHARD)}
    write_tar(root / 'tars/00002.tar', files_of(2, changes))
    settings = config(max_bad_share=0.2, shuffle_buffer=0)
    with pytest.raises(ValueError, match=r'[2-5] of \d+ samples that this'):
        take(DATASETS.build(settings), 90)


def test_only_the_first_bad_samples_are_told(config, root, said):
    for shard in range(4):
        changes = {f'{shard:05d}{i:04d}.jpg': b'' for i in range(PER_SHARD)}
        write_tar(root / f'tars/{shard:05d}.tar', files_of(shard, changes))
    take(DATASETS.build(config(max_bad_share=0.7)), 12)
    told = [
        text for text in said if 'bad sample' in text and 'skipped,' in text
    ]
    assert len(told) == 10
    assert 'Further ones are counted only' in told[-1]


def test_nothing_to_train_on(config, root, said):
    changes = {f'{0:05d}{i:04d}.txt': b' ' for i in range(PER_SHARD)}
    write_tar(root / 'tars/00000.tar', files_of(0, changes))
    with pytest.raises(ValueError, match='read 5, 5 of them with a blank'):
        next(iter(DATASETS.build(config(shards='tars/00000.tar'))))


def test_errors_reach_the_main_process(config, root):
    damage(root / 'tars/00003.tar', 'noise')
    loader = loader_of(config(), 2)
    with pytest.raises(ValueError, match=r'shards are damaged.*00003\.tar'):
        batches(loader, 60)


def test_read_shard(root):
    samples = list(read_shard(str(root / 'tars/00001.tar')))
    assert [s.key for s in samples] == ALL[5:10]
    assert {s.image_key for s in samples} == {'jpg'}
    assert samples[0].place == f'{root}/tars/00001.tar, 000010000'


class Reader(BaseModel):
    """One weight; notes what it was trained on."""

    def __init__(self) -> None:
        super().__init__(
            dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3,
                 size=(8, 10))
        )  # fmt: skip
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[tuple] = []

    def forward(self, inputs, data_samples, mode='tensor'):
        for image, sample in zip(inputs, data_samples):
            self.seen.append(
                (sample.img_id, sample.caption, image.sum().item())
            )
        return dict(loss=self.weight * inputs.mean())


class Stop(Hook):
    """Ends the training early, as a kill would."""

    def after_train_iter(self, runner, batch_idx, **kwargs) -> None:
        runner.train_loop.stop_training = runner.iter + 1 == 3


@pytest.fixture
def train(config, tmp_path):
    def run(name, workers, seed=3, resume=False, hooks=(), **changes):
        model = Reader()
        runner = Runner(
            model=model,
            work_dir=str(tmp_path / name),
            train_dataloader=dict(
                batch_size=2,
                num_workers=workers,
                persistent_workers=workers > 0,
                dataset=config(**changes),
                sampler=None,
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=8),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=3
                ),
            ),
            custom_hooks=[
                *(
                    dict(type=name)
                    for name in (
                        'ClassNamesHook',
                        'CheckDatasetHook',
                        'CheckLossHook',
                        'RandomStateHook',
                        'CaptionStreamHook',
                        'PseudoMaskHook',
                    )
                ),
                *hooks,
            ],
            log_processor=dict(by_epoch=False),
            randomness=dict(seed=seed),
            default_scope='mmseg',
            experiment_name=f'{tmp_path.name}-{name}-{seed}-{resume}',
            resume=resume,
        )
        runner.train()
        # Workers that a garbage collection finds end only after a minute.
        if workers:
            runner.train_dataloader._iterator._shutdown_workers()
        return model, runner

    return run


@pytest.mark.parametrize('workers', [0, 2])
def test_training_resumes_exactly(train, workers):
    whole, runner = train('whole', workers)
    assert len(whole.seen) == 16
    begun, _ = train('parts', workers, hooks=[Stop()])
    rest, resumed = train('parts', workers, resume=True)
    assert len(begun.seen) == 6
    assert begun.seen + rest.seen == whole.seen
    assert torch.equal(rest.weight, whole.weight)
    assert resumed.train_loop.fast_forward_on_resume
    other, _ = train('other', workers, seed=4)
    assert other.seen != whole.seen


def test_resuming_with_other_workers_is_told(train, monkeypatch):
    train('parts', 0, hooks=[Stop()])
    said = []
    monkeypatch.setattr(
        'mmseg_weakclip.engine.resume.print_log',
        lambda message, **kwargs: said.append(message),
    )
    train('parts', 2, resume=True)
    assert len(said) == 1
    assert 'with other workers 1 (now 2): it goes on' in said[0]


def test_loops_that_advance_by_themselves(train, monkeypatch):
    """As of mmengine's own releases, which draw and drop."""
    whole, _ = train('whole', 2)
    train('parts', 2, hooks=[Stop()])
    start = IterBasedTrainLoop.__init__

    def without(self, *args, **kwargs):
        start(self, *args, **kwargs)
        self.fast_forward_on_resume = False

    monkeypatch.setattr(IterBasedTrainLoop, '__init__', without)
    monkeypatch.setattr(
        'mmseg_weakclip.engine.resume.hasattr',
        lambda *_: False,
        raising=False,
    )
    rest, _ = train('parts', 2, resume=True)
    assert rest.seen == whole.seen[6:]
