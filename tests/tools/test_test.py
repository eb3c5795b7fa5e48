"""tools/test.py on toyland."""

import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_weakclip.models.cam.patch_text_cam import PatchTextCAMHead
from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.vision import VisionTower

LISTS = 'test_dataloader.dataset.ann_file=ImageSets/Segmentation'
TRAIN, VAL = f'{LISTS}/train.txt', f'{LISTS}/val.txt'
EVERYTHING = 'test_dataloader.dataset.ann_file='
BOTH_SCORES = """
_base_ = {base!r}
test_evaluator = [
    dict(workers=0, **_base_.test_evaluator),
    dict(type='PartialIoUMetric', iou_metrics=['mIoU']),
]
"""


def read_masks(folder) -> dict[str, np.ndarray]:
    return {
        path.stem: np.asarray(Image.open(path))
        for path in Path(folder).glob('*.png')
    }


def assert_same_masks(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert np.array_equal(one[name], other[name]), name


def read_report(work_dir) -> list[str]:
    """Tables and scores in a run's log.

    Every process writes the JSON file of the scores, so that it can't be
    trusted behind several.
    """
    (path,) = Path(work_dir).glob('*/*.log')
    text = path.read_text()
    scores = re.findall(r'\S*(?:mIoU|mAcc|aAcc): [\d.]+', text)
    return [*re.findall(r'^[|+].*', text, re.MULTILINE), *scores]


@pytest.fixture
def cams_made(monkeypatch) -> list[str]:
    """Ids of the images for which CAMs were made, growing."""
    predict, seen = PatchTextCAMHead.predict, []

    def count(self, inputs, metas, test_cfg):
        seen.extend(Path(meta['img_path']).stem for meta in metas)
        return predict(self, inputs, metas, test_cfg)

    monkeypatch.setattr(PatchTextCAMHead, 'predict', count)
    return seen


def test_checkpoint_predicts_what_was_trained(
    tmp_path, world, trained, checkpoint, run_tool, read_scores, monkeypatch
):
    # The paths of the configs are relative to the world.
    monkeypatch.chdir(world)
    runner = run_tool(
        'test',
        'weakclip.py',
        checkpoint,
        '--work-dir',
        tmp_path / 'work',
        '--out',
        tmp_path / 'out',
        '--show-dir',
        tmp_path / 'shown',
    )
    batch = next(iter(runner.test_loop.dataloader))
    masks = read_masks(tmp_path / 'out')
    assert len(masks) == len(batch['inputs']) == 5
    there = trained.model.eval().test_step(dict(batch))
    here = runner.model.test_step(dict(batch))
    for one, other in zip(here, there):
        assert torch.equal(one.seg_logits.data, other.seg_logits.data)
        mask = masks[Path(one.img_path).stem]
        assert np.array_equal(mask, one.pred_sem_seg.data[0].numpy())
        image = cv2.imread(one.img_path)
        (path,) = (tmp_path / 'shown').rglob(f'*{Path(one.img_path).name}*')
        # Truth on the left, prediction on the right.
        shown = np.split(cv2.imread(str(path)), 2, axis=1)[1]
        assert shown.shape == image.shape
        assert not np.array_equal(shown, image)
    history = Path(trained.work_dir).glob('*/vis_data/scalars.json')
    last = json.loads(next(history).read_text().splitlines()[-1])
    scores = read_scores(tmp_path / 'work')
    assert scores == {name: last[name] for name in ('aAcc', 'mIoU', 'mAcc')}


def test_defaults_and_overrides(world, checkpoint, run_tool, read_scores):
    option = 'test_evaluator.iou_metrics=[mDice]'
    run_tool('test', 'weakclip.py', checkpoint, options=[option])
    scores = read_scores(world / 'work_dirs/weakclip')
    assert set(scores) == {'aAcc', 'mDice', 'mAcc'}


ONE_VIEW = ('tta_pipeline=None',)


def test_refusals(tmp_path, run_tool):
    rest = ('--work-dir', tmp_path)
    with pytest.raises(SystemExit, match='is trained .* give its checkpoint'):
        run_tool('test', 'weakclip.py', *rest)
    with pytest.raises(
        FileNotFoundError, match=r'checkpoint any\.pth does not'
    ):
        run_tool('test', 'weakclip.py', 'any.pth', *rest)
    with pytest.raises(SystemExit, match='no tta_pipeline.*one view'):
        run_tool('test', 'weakclip.py', '--tta', *rest, options=ONE_VIEW)


def test_text_is_encoded_once(tmp_path, monkeypatch, checkpoint, run_tool):
    calls = {'encode': 0, 'stem': 0}

    def count(tower, name):
        method = getattr(tower, name)

        def counted(*args):
            calls[name] += 1
            return method(*args)

        monkeypatch.setattr(tower, name, counted)

    count(TextTower, 'encode')
    count(VisionTower, 'stem')
    run_tool(
        'test',
        'weakclip.py',
        checkpoint,
        '--work-dir',
        tmp_path,
        options=[
            'test_dataloader.batch_size=1',
            'model.test_cfg.mode=slide',
            'model.test_cfg.crop_size=(64,64)',
            'model.test_cfg.stride=(32,32)',
        ],
    )
    # Five images in several windows each.
    assert calls['stem'] >= 20
    assert calls['encode'] == 1


def test_finished_masks_are_skipped(
    tmp_path, cams_made, run_tool, read_scores
):
    out = tmp_path / 'out'

    def run(name):
        cams_made.clear()
        rest = ('--out', out, '--work-dir', tmp_path / name)
        run_tool('test', 'seeds.py', '--tta', *rest)
        return read_scores(tmp_path / name), read_masks(out / 'masks')

    scores, masks = run('first')
    assert len(masks) == 13
    # An image is seen as it is and flipped.
    assert sorted(cams_made) == sorted(2 * list(masks))
    path = out / 'masks/val_00001.png'
    path.unlink()
    records = out / 'records_0.jsonl'
    lines = records.read_text().splitlines(keepends=True)
    # A crash may leave the last record cut short.
    lost = json.loads(lines[-1])['id']
    records.write_text(''.join(lines)[:-10])
    missing = {'val_00001', lost}
    for name, expected in ('second', missing), ('third', set()):
        again, masks_again = run(name)
        assert set(cams_made) == expected
        assert again == scores
        assert_same_masks(masks_again, masks)


@pytest.mark.parametrize(
    ('change', 'name'),
    [
        (
            'model.decode_head.background.threshold=0.4',
            'model.decode_head.background.threshold: 0.5 there, 0.4 now',
        ),
        (
            'test_evaluator.min_score=0.5',
            'writer.min_score: 0.0 there, 0.5 now',
        ),
    ],
    ids=['model', 'writer'],
)
def test_other_settings_are_refused(tmp_path, run_tool, change, name):
    def run(*options):
        rest = ('--out', tmp_path / 'out', '--work-dir', tmp_path / 'work')
        run_tool('test', 'seeds.py', *rest, options=(VAL, *options))
        return read_masks(tmp_path / 'out/masks')

    before = run()
    message = f'{tmp_path}/out holds masks made with other settings .{name}'
    with pytest.raises(ValueError, match=message):
        run(change)
    assert_same_masks(read_masks(tmp_path / 'out/masks'), before)


def test_other_weights_are_refused(tmp_path, checkpoint, run_tool):
    def run(path, *arguments):
        rest = ('--out', tmp_path / 'out', '--work-dir', tmp_path / 'work')
        options = (VAL, 'test_evaluator.crf=None')
        run_tool(
            'test',
            'weakclip_masks.py',
            path,
            *rest,
            *arguments,
            options=options,
        )

    run(checkpoint)
    assert len(read_masks(tmp_path / 'out/masks')) == 5
    run(checkpoint)
    message = r'other settings \(weights: "\w+" there, "\w+" now\)'
    with pytest.raises(ValueError, match=message):
        run(checkpoint.with_name('iter_3.pth'))
    with pytest.raises(ValueError, match='model.module.*; pipeline: '):
        run(checkpoint, '--tta')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'weights', 'split', 'images'),
    [
        ('weakclip_masks.py', ['iter_6.pth'], TRAIN, 8),
        # Nothing to train, and one image more for one process.
        ('seeds.py', [], EVERYTHING, 13),
    ],
    ids=['even', 'odd'],
)
def test_two_processes(
    repo,
    tmp_path,
    checkpoint,
    run_tool,
    run_twice,
    config,
    weights,
    split,
    images,
):
    path = tmp_path / 'both.py'
    base = str(repo / 'configs/toyland' / config)
    path.write_text(BOTH_SCORES.format(base=base))

    def command(name):
        folders = f'--out={tmp_path}/{name}', f'--work-dir={tmp_path}/w{name}'
        paths = [checkpoint.with_name(file) for file in weights]
        return 'test', path, *paths, '--tta', *folders

    # The last bits of a prediction may depend on the rest of its batch.
    options = (split, 'test_dataloader.batch_size=1')
    run_tool(*command(1), options=options)
    run_twice(*command(2), '--launcher=pytorch', options=options)
    records = sorted((tmp_path / '2').glob('records_*.jsonl'))
    shares = [len(record.read_text().splitlines()) for record in records]
    # No image is written twice.
    assert shares == [math.ceil(images / 2), images // 2]
    report = read_report(tmp_path / 'w1')
    assert sum('mean' in line for line in report) == 1
    assert sum('raw_mIoU: ' in line for line in report) == 1
    assert sum(line.startswith('mIoU: ') for line in report) == 1
    assert read_report(tmp_path / 'w2') == report
    alone = read_masks(tmp_path / '1/masks')
    assert len(alone) == images
    assert_same_masks(read_masks(tmp_path / '2/masks'), alone)


PROTOCOL = """
_base_ = {base!r}
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=s, keep_ratio=True)
             for s in (.75, 1.)],
            [dict(type='RandomFlip', prob=p) for p in (0., 1.)],
            [dict(type='LoadTruthIfPresent')],
            [dict(type='PackSegInputs')],
        ]),
]
test_evaluator = dict(type='PartialIoUMetric', iou_metrics=['mIoU'])
"""


@pytest.fixture
def with_views(repo, tmp_path) -> Path:
    """A config of a network with several views."""
    path = tmp_path / 'views.py'
    base = str(repo / 'configs/toyland/weakclip.py')
    path.write_text(PROTOCOL.format(base=base))
    return path


def test_four_numbers_in_one_pass(
    tmp_path, with_views, checkpoint, run_tool, read_scores
):
    """Two of them are those of tests of their own."""

    def run(name, *words):
        work_dir = tmp_path / name
        run_tool(
            'test', with_views, checkpoint, '--work-dir', work_dir, *words
        )
        return read_scores(work_dir)

    four = run('four', '--protocol', '--crf', 'weclip', '--per-class')
    assert list(four) == [
        f'mIoU_{name}' for name in ('single', 'multi', 'single_crf',
                                    'multi_crf')
    ]  # fmt: skip
    one, many = run('one')['mIoU'], run('many', '--tta')['mIoU']
    assert four['mIoU_single'] == pytest.approx(one, abs=0.001)
    assert four['mIoU_multi'] == pytest.approx(many, abs=0.001)
    (log,) = (tmp_path / 'four').glob('*/*.log')
    text = log.read_text()
    for line in ('single view + CRF', 'multi-scale + flip + CRF'):
        assert f'| {line}' in text.replace('|  ', '| ')


def test_protocol_is_refused(tmp_path, checkpoint, run_tool, with_views):
    rest = (checkpoint, '--work-dir', tmp_path / 'w', '--protocol')
    with pytest.raises(ValueError, match='need tta_pipeline'):
        run_tool('test', 'weakclip.py', *rest, options=ONE_VIEW)
    with pytest.raises(ValueError, match='from labels, or has tta_model'):
        run_tool('test', 'seeds.py', *rest)
    with pytest.raises(ValueError, match="unknown CRF preset 'best'"):
        run_tool('test', with_views, *rest, '--crf', 'best')
    for words in (['--crf', 'weclip'], ['--per-class'], ['--tta']):
        given = rest if words == ['--tta'] else rest[:-1]
        with pytest.raises(SystemExit):
            run_tool('test', with_views, *given, *words)


def test_four_numbers_of_two_processes(
    tmp_path, with_views, checkpoint, run_tool, run_twice
):
    def command(name):
        work_dir = f'--work-dir={tmp_path}/{name}'
        return 'test', with_views, checkpoint, '--protocol', work_dir

    # An odd number of images.
    options = (VAL, 'test_dataloader.batch_size=1')
    run_tool(*command('w1'), options=options)
    run_twice(*command('w2'), '--launcher=pytorch', options=options)

    def table(name):
        (path,) = (tmp_path / name).glob('*/*.log')
        return re.findall(r'^[|+].*', path.read_text(), re.MULTILINE)

    assert len(table('w1')) == 8
    assert table('w2') == table('w1')


@pytest.fixture
def fast_cpu(monkeypatch):
    """Any CPU counts as one that has bfloat16."""
    monkeypatch.setattr(
        'mmseg_weakclip.engine.precision.has_fast_bfloat16', lambda: True
    )


def test_masks_in_half_precision(tmp_path, run_tool, fast_cpu):
    """Views and all; their folder is not one of float32."""
    masks = {}
    for name, words in ('full', ()), ('half', ('--amp',)):
        rest = ('--out', tmp_path / name, '--work-dir', tmp_path / 'work')
        run_tool('test', 'seeds.py', '--tta', *words, *rest)
        masks[name] = read_masks(tmp_path / name / 'masks')
    settings = json.loads((tmp_path / 'half/settings.json').read_text())
    assert settings['precision'] == 'bfloat16'
    full, half = (
        np.stack([masks[name][key] for key in sorted(masks[name])])
        for name in ('full', 'half')
    )
    assert (full == half).mean() >= 0.995
    rest = ('--out', tmp_path / 'half', '--work-dir', tmp_path / 'work')
    with pytest.raises(ValueError, match='precision'):
        run_tool('test', 'seeds.py', '--tta', *rest)


def test_half_precision_needs_a_plain_test(tmp_path, run_tool):
    with pytest.raises(SystemExit, match='--amp: the config already has X'):
        run_tool(
            'test', 'seeds.py', '--amp', '--work-dir', tmp_path,
            options=['test_cfg.type=X'],
        )  # fmt: skip


def test_batches_of_one_size(tmp_path, checkpoint, run_tool, read_scores):
    scores = []
    for name, options in (
        ('plain', ['test_dataloader.batch_size=1']),
        (
            'batches',
            [
                'test_dataloader.batch_size=2',
                'test_dataloader.batch_sampler.type=SameSizeBatchSampler',
            ],
        ),
    ):
        work_dir = tmp_path / name
        runner = run_tool(
            'test', 'weakclip.py', checkpoint, '--work-dir', work_dir,
            options=options,
        )  # fmt: skip
        scores.append(read_scores(work_dir))
    assert len(runner.test_loop.dataloader) == 3
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
