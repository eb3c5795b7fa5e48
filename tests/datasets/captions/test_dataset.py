import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weakclip.datasets.checks.dataset import check_dataset, count_samples
from mmseg_weakclip.datasets.checks.hook import CheckDatasetHook
from mmseg_weakclip.datasets.sampler import Draw

CAPTIONS = dict(
    img0=['a cat', 'one cat'],
    img1=['a dog'],
    img2=[' a bird ', '', 'a tall bird', 'birds'],
)


@pytest.fixture
def caption_root(tmp_path):
    """Three images with captions, one of which is blank."""
    rng = np.random.default_rng(0)
    root = tmp_path / 'captions'
    (root / 'images').mkdir(parents=True)
    for name, (height, width) in zip(CAPTIONS, ((24, 32), (32, 24), (40, 28))):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / f'images/{name}.jpg')
    (root / 'captions.json').write_text(json.dumps(CAPTIONS))
    return root


@pytest.fixture
def caption_config(caption_root):
    """Config of a data set on ``caption_root``, as a function of changes."""

    def build(**changes) -> dict:
        config = dict(
            type='CaptionDataset',
            data_root=str(caption_root),
            ann_file='captions.json',
            data_prefix=dict(img_path='images'),
            pipeline=[
                dict(type='LoadColorImage'),
                dict(type='RandomResizedCrop', crop_size=(16, 20)),
                dict(type='PackCaptionInputs'),
            ],
        )
        config.update(changes)
        return config

    return build


def warnings_of(monkeypatch) -> list[str]:
    """What the data set logs from here on."""
    said = []
    monkeypatch.setattr(
        'mmseg_weakclip.datasets.captions.dataset.print_log',
        lambda message, **kwargs: said.append(message),
    )
    return said


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_each_caption_is_a_sample(caption_config, caption_root):
    dataset = DATASETS.build(caption_config())
    found = infos(dataset)
    assert [(i['img_id'], i['caption']) for i in found] == [
        ('img0', 'a cat'),
        ('img0', 'one cat'),
        ('img1', 'a dog'),
        ('img2', 'a bird'),
        ('img2', 'a tall bird'),
        ('img2', 'birds'),
    ]
    assert found[0]['img_path'] == str(caption_root / 'images/img0.jpg')
    assert found[0]['img_name'] == 'img0.jpg'
    assert dataset.metainfo['classes'] == ()
    sample = dataset[4]['data_samples']
    assert (sample.caption, sample.img_id) == ('a tall bird', 'img2')


def test_one_caption_of_an_image(caption_config):
    dataset = DATASETS.build(caption_config(captions='one'))
    assert len(dataset) == 3
    drawn = Counter(
        dataset[Draw(2, 0, position)]['data_samples'].caption
        for position in range(90)
    )
    assert set(drawn) == {'a bird', 'a tall bird', 'birds'}
    assert min(drawn.values()) > 15
    first, again = (dataset[Draw(2, 0, 5)] for _ in range(2))
    assert first['data_samples'].caption == again['data_samples'].caption
    assert torch.equal(first['inputs'], again['inputs'])


def test_blank_captions_are_told(caption_config, monkeypatch):
    said = warnings_of(monkeypatch)
    dataset = DATASETS.build(caption_config())
    assert dataset.num_blank == 1
    assert any(
        'captions.json: 1 captions are blank' in text
        and 'first is image img2' in text
        for text in said
    )
    assert any('6 captions of 3 images; 1 blank' in text for text in said)


@pytest.mark.parametrize('content', [dict(img0=' ', img1=''), {}])
def test_nothing_but_blank_captions(caption_config, caption_root, content):
    (caption_root / 'captions.json').write_text(json.dumps(content))
    match = r'captions\.json has no caption' + (
        ': all 2 are blank' if content else r'\.$'
    )
    with pytest.raises(ValueError, match=match):
        DATASETS.build(caption_config())


def test_missing_images(caption_config, caption_root, monkeypatch):
    (caption_root / 'images/img1.jpg').unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 of 3 images .*first is img1\.jpg.*'skip'"
    ):
        DATASETS.build(caption_config())
    said = warnings_of(monkeypatch)
    dataset = DATASETS.build(caption_config(missing='skip'))
    assert dataset.num_missing == 1
    assert {info['img_id'] for info in infos(dataset)} == {'img0', 'img2'}
    assert any('img1.jpg; they are skipped' in text for text in said)
    # Skipping everything hides a wrong folder.
    config = caption_config(missing='skip', data_prefix=dict(img_path='no'))
    with pytest.raises(FileNotFoundError, match='3 of 3 images'):
        DATASETS.build(config)


def test_split_file(caption_config, caption_root):
    (caption_root / 'train.txt').write_text('img2\nimg0.jpg\nimg2\n')
    config = caption_config(split_file='train.txt', captions='one')
    assert [i['img_id'] for i in infos(DATASETS.build(config))] == [
        'img2',
        'img0',
    ]
    (caption_root / 'train.txt').write_text('img2\nimg7\n')
    with pytest.raises(
        ValueError, match=r'1 of 2 images of .*train\.txt.* img7\.jpg'
    ):
        DATASETS.build(config)


def test_equal_names_in_two_folders(caption_config, caption_root):
    for folder in ('a', 'b'):
        (caption_root / 'images' / folder).mkdir()
        Image.new('RGB', (30, 20)).save(
            caption_root / f'images/{folder}/x.png'
        )
    rows = 'one\ta/x.png\ntwo\tb/x.png\nthree\ta/x.png\n'
    (caption_root / 'x.tsv').write_text(rows)
    found = infos(DATASETS.build(caption_config(ann_file='x.tsv')))
    assert [(i['img_name'], i['caption']) for i in found] == [
        ('a/x.png', 'one'),
        ('a/x.png', 'three'),
        ('b/x.png', 'two'),
    ]
    assert {i['img_id'] for i in found} == {'x'}


def test_karpathy_split(caption_config, caption_root):
    images = [
        dict(
            filepath='images',
            filename=f'img{i}.jpg',
            split=split,
            sentences=[dict(raw=f'text {i}')],
        )
        for i, split in enumerate(('train', 'restval', 'val'))
    ]
    (caption_root / 'k.json').write_text(json.dumps(dict(images=images)))
    config = caption_config(ann_file='k.json', data_prefix=dict(img_path=''))
    assert len(DATASETS.build(config)) == 1
    config['reader'] = dict(split=('train', 'restval'))
    found = infos(DATASETS.build(config))
    assert [i['img_name'] for i in found] == [
        'images/img0.jpg',
        'images/img1.jpg',
    ]


@pytest.mark.parametrize('option', ['captions', 'missing'])
def test_unknown_options(caption_config, option):
    with pytest.raises(ValueError, match=f"{option}='all'; it can be '"):
        DATASETS.build(caption_config(**{option: 'all'}))


def test_check(caption_config, caption_root):
    (caption_root / 'images/img1.jpg').unlink()
    path = caption_root / 'images/img2.jpg'
    path.write_bytes(path.read_bytes()[:-200])
    config = caption_config(missing='skip')
    dataset = DATASETS.build(dict(type='ConcatDataset', datasets=[config] * 2))
    quick = check_dataset(dataset, thorough=False)
    expected = ['blank-captions', 'missing-images'] * 2
    assert [problem.kind for problem in quick] == expected
    assert all(problem.severity == 'warning' for problem in quick)
    seen = []
    thorough = check_dataset(dataset, on_sample=lambda: seen.append(0))
    assert len(seen) == count_samples(dataset) == 4
    found = [p for p in thorough if p.severity == 'error']
    assert [p.kind for p in found] == ['unreadable-image'] * 2
    assert 'img2.jpg' in found[0].message


def test_check_hook(caption_config):
    loader = SimpleNamespace(dataset=DATASETS.build(caption_config()))
    runner = SimpleNamespace(
        train_loop=SimpleNamespace(dataloader=loader),
        logger=MMLogger.get_instance('captions'),
    )
    CheckDatasetHook().before_train(runner)


class Reader(BaseModel):
    """One weight; notes the captions and superpixels that it gets."""

    def __init__(self) -> None:
        super().__init__(
            dict(
                type='WeakSegDataPreProcessor',
                mean=[0.0] * 3,
                std=[255.0] * 3,
                size=(16, 20),
            )
        )
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[tuple] = []

    def forward(self, inputs, data_samples, mode='tensor'):
        for image, sample in zip(inputs, data_samples):
            shape = tuple(sample.superpixels.shape)
            self.seen.append((sample.caption, image.sum().item(), shape))
        return dict(loss=self.weight * inputs.mean())


class Stop(Hook):
    """Ends the training early, as a kill would."""

    def after_train_iter(self, runner, batch_idx, **kwargs) -> None:
        runner.train_loop.stop_training = runner.iter + 1 == 2


@pytest.fixture
def train(caption_config, tmp_path):
    """Train under all hooks of the default runtime."""

    def run(name, resume=False, hooks=()) -> Reader:
        model = Reader()
        pipeline = caption_config()['pipeline']
        superpixels = dict(
            type='FelzenszwalbSuperpixels', min_size=20, short_side=24
        )
        pipeline.insert(1, superpixels)
        part = caption_config(captions='one', pipeline=pipeline)
        whole = caption_config(pipeline=pipeline)
        Runner(
            model=model,
            work_dir=str(tmp_path / name),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='ConcatDataset', datasets=[whole, part]),
                sampler=dict(type='ResumableSampler'),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=4),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=2
                )
            ),
            custom_hooks=[
                *(
                    dict(type=name)
                    for name in (
                        'ClassNamesHook',
                        'CheckDatasetHook',
                        'CheckLossHook',
                        'RandomStateHook',
                        'PseudoMaskHook',
                    )
                ),
                *hooks,
            ],
            randomness=dict(seed=3),
            default_scope='mmseg',
            experiment_name=f'{tmp_path.name}-{name}-{resume}',
            resume=resume,
        ).train()
        return model

    return run


def test_training_resumes_exactly(train):
    whole = train('whole')
    assert len(whole.seen) == 8
    assert {shape for *_, shape in whole.seen} == {(16, 20)}
    begun = train('parts', hooks=[Stop()])
    rest = train('parts', resume=True)
    assert len(begun.seen) == len(rest.seen) == 4
    assert begun.seen + rest.seen == whole.seen
