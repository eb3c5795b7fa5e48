"""tools/sweep_threshold.py on toyland."""

import json

import pytest
import torch

from mmseg_weakclip.common import masks as mask_files
from mmseg_weakclip.datasets.masks import transforms as mask_transforms
from mmseg_weakclip.engine import precision
from mmseg_weakclip.models.clip.vision import VisionTower

CONFIG = 'zero_shot.py'
CURRENT = 'model.decode_head.threshold=0.3'
SPLIT = 'ToylandDataset, data/toyland/ImageSets/Segmentation/val.txt'
LABELLED = """
_base_ = {base!r}
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadColorImage'),
    dict(type='Resize', scale=(144, 144), keep_ratio=True),
    dict(type='LoadImageLabels', ann_file='image_labels.json'),
    dict(type='PackSegInputs', meta_keys=(
        'img_path', 'ori_shape', 'img_shape', 'image_labels')),
]))
"""


@pytest.fixture
def sweep(run_tool, tmp_path, capsys):
    """Run the tool; returns what it printed and what it wrote."""

    def run(*arguments, config=CONFIG, options=()):
        path = tmp_path / 'new/scores.json'
        run_tool(
            'sweep_threshold',
            config,
            *('--work-dir', tmp_path / 'work', '--out', path),
            *arguments,
            options=options,
        )
        return capsys.readouterr().out, json.loads(path.read_text())

    return run


def test_as_the_test_tool(sweep, run_tool, read_scores, tmp_path, monkeypatch):
    seen, stem = [], VisionTower.stem

    def count(tower, images):
        seen.extend(images)
        return stem(tower, images)

    monkeypatch.setattr(VisionTower, 'stem', count)
    text, report = sweep('--thresholds', '.3', '0.5:0.9:0.2')
    assert len(seen) == 5
    rows = {row['threshold']: row for row in report['thresholds']}
    assert list(rows) == [0.3, 0.5, 0.7, 0.9]
    for threshold in (0.3, 0.9):
        work = tmp_path / f'alone{threshold}'
        options = [f'model.decode_head.threshold={threshold}']
        run_tool('test', CONFIG, '--work-dir', work, options=options)
        alone = read_scores(work)['mIoU']
        assert rows[threshold]['mIoU'] == pytest.approx(alone, abs=0.01)
    assert len({row['mIoU'] for row in rows.values()}) > 2
    best = max(rows, key=lambda threshold: rows[threshold]['mIoU'])
    assert report['best'] == best
    assert report['chosen_by'] == 'pixel truth'
    assert report['pixel_truth_images'] == 5
    assert report['config'].endswith(CONFIG)
    assert report['checkpoint'] is None
    assert f'seen the pixel truth of 5 images of {SPLIT}: the best' in text
    (line,) = (row for row in text.splitlines() if ' best |' in row)
    assert f'| {rows[best]["mIoU"]:.2f} |' in line


def test_without_truth(sweep, monkeypatch):
    def refuse(*args):
        raise AssertionError(args)

    for module in mask_files, mask_transforms:
        monkeypatch.setattr(module, 'read_mask', refuse)
    text, report = sweep(
        *('--without-truth', '--thresholds', '.1', '.5', '1'),
        options=[CURRENT],
    )
    assert 'Nothing is chosen' in text
    assert report['current'] == 0.3
    assert report['best'] is None
    shares = [row['background'] for row in report['thresholds']]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] == 100
    text, report = sweep(
        *('--without-truth', '--thresholds', '.1', '.5', '1'),
        *('--image-labels', 'image_labels.json'),
    )
    rows = report['thresholds']
    assert [row['background'] for row in rows] == shares
    assert report['chosen_by'] == 'image labels'
    assert report['best'] == max(rows, key=lambda r: r['f1'])['threshold']
    assert report['pixel_truth_images'] == 0
    assert rows[-1]['recall'] == 0
    assert rows[-1]['precision'] is None
    assert f'labels of 5 images of {SPLIT}, and no mask' in text


def test_labels_that_the_config_brings(sweep, repo, tmp_path):
    path = tmp_path / 'labelled.py'
    base = repo / 'configs/toyland' / CONFIG
    path.write_text(LABELLED.format(base=str(base)))
    arguments = ('--without-truth', '--thresholds', '.1', '.5')
    _, report = sweep(*arguments, config=path)
    _, other = sweep(*arguments, '--image-labels', 'image_labels.json')
    assert report['chosen_by'] == 'image labels'
    assert report['thresholds'] == other['thresholds']
    # There are masks, but it does not load them.
    with pytest.raises(SystemExit, match=f'no image of {SPLIT} has a mask'):
        sweep(config=path)


def test_refusals(sweep, capsys):
    with pytest.raises(SystemExit, match='decode_head, PatchTextCAMHead, has'):
        sweep('--without-truth', config='seeds.py')
    with pytest.raises(SystemExit, match='no IoUMetric .*PseudoMaskWriter'):
        sweep(config='seeds.py')
    message = f'no masks found for {SPLIT}: use --without-truth'
    folder = 'test_dataloader.dataset.data_prefix.seg_map_path=nowhere'
    with pytest.raises(SystemExit, match=message):
        sweep(options=[folder])
    for arguments, message in (
        (('--thresholds', '1.2'), "'1.2' must lie in [0, 1]"),
        (('--image-labels', 'x.json'), 'needs --without-truth'),
    ):
        with pytest.raises(SystemExit):
            sweep(*arguments)
        assert message in capsys.readouterr().err


def test_half_precision(sweep, monkeypatch):
    """The network is in it, once per image; scores hardly change."""
    seen, stem = [], VisionTower.stem

    def look(tower, images):
        found = stem(tower, images)
        seen.append((torch.is_autocast_enabled('cpu'), len(images)))
        return found

    monkeypatch.setattr(VisionTower, 'stem', look)
    monkeypatch.setattr(precision, 'has_fast_bfloat16', lambda: True)
    words = ('--thresholds', '.3', '.5', '.7')
    scores = []
    for amp in (), ('--amp',):
        _, report = sweep(*words, *amp)
        assert {on for on, _ in seen} == {bool(amp)}
        assert sum(number for _, number in seen) == 5
        seen.clear()
        scores.append([row['mIoU'] for row in report['thresholds']])
    full, half = scores
    assert half == pytest.approx(full, abs=1)
    assert half != full
