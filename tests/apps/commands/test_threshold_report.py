import json

import pytest

from mmseg_weakclip.apps.commands.sweep_threshold import (
    encode_report,
    report_sweep,
    sweep_table,
)

NAN = float('nan')


def by_truth(mean, images=7):
    return dict(
        mIoU=mean, background_IoU=80.0, foreground_mIoU=NAN, images=images
    )


def by_labels(f1, images=3):
    row = dict(background=90.0, classes=1.5, images=images)
    if images:
        row.update(precision=NAN, recall=20.0, f1=f1)
    return row


def test_choice_by_truth_says_so():
    scores = {0.2: by_truth(30), 0.4: by_truth(50), 0.6: by_truth(50)}
    report = report_sweep(scores, 'VOC, val.txt', 0.6)
    assert report['best'] == 0.4
    assert report['chosen_by'] == 'pixel truth'
    assert report['pixel_truth_images'] == 7
    assert report['image_label_images'] == 0
    table = sweep_table(report)
    note = 'has seen the pixel truth of 7 images of VOC, val.txt: the best'
    assert note in report['note']
    assert table.endswith(f'{report["note"]}')
    rows = {
        line.split()[1]: line for line in table.splitlines() if '.' in line
    }
    assert '50.00 ' in rows['0.4']
    assert 'best' in rows['0.4']
    assert 'as configured' in rows['0.6']
    assert 'best' not in rows['0.6']
    read = json.loads(encode_report(report))
    assert read['thresholds'][1] == dict(
        threshold=0.4, mIoU=50, background_IoU=80, foreground_mIoU=None
    )


def test_choice_by_labels():
    scores = {0.2: by_labels(10.0), 0.4: by_labels(70.0)}
    report = report_sweep(scores, 'VOC')
    assert report['best'] == 0.4
    assert report['chosen_by'] == 'image labels'
    assert report['pixel_truth_images'] == 0
    assert report['image_label_images'] == 3
    assert 'labels of 3 images of VOC, and no mask' in report['note']
    assert 'F1' in sweep_table(report)


def test_no_choice():
    scores = {0.2: by_labels(0, images=0), 0.4: by_labels(0, images=0)}
    report = report_sweep(scores, 'VOC')
    assert report['best'] is None
    assert report['chosen_by'] is None
    assert 'Nothing is chosen' in report['note']
    assert 'best' not in sweep_table(report)


def test_no_truth():
    with pytest.raises(ValueError, match='no image of VOC .*--without-truth'):
        report_sweep({0.2: dict(images=0)}, 'VOC')
