"""The benchmark of photos: its rows, its page, its choice by tags."""

import pytest
import torch
from mmengine.config import Config, DictAction
from mmseg.registry import MODELS
from photo_report import cell, report
from photo_rows import (
    CLASSIFIER,
    SEGMENTER,
    START,
    TAGS,
    map_rows,
    segmenter_rows,
    training_name,
)
from tag_threshold import THRESHOLDS, region_gain

from mmseg_weakclip.models.refine.crf_params import resolve_crf_params


def options_of(words):
    """Options as the tools read them."""
    return {
        key: DictAction._parse_iterable(value)
        for key, value in (word.split('=', 1) for word in words)
    }


def test_rows_differ_in_what_they_say(repo):
    found = {}
    for row in map_rows():
        cfg = Config.fromfile(repo / CLASSIFIER)
        cfg.merge_from_dict(options_of([*row.training, *row.options]))
        head, writer = cfg.model.decode_head, cfg.test_evaluator
        found[row.name] = (
            head.get('importance_weight', 0),
            (head.get('correlation') or {}).get('levels'),
            writer.get('par') is not None,
            writer.get('crf'),
        )
    assert len(set(map(str, found.values()))) == len(found) == 9
    assert found['CAM'] == (0, None, False, None)
    assert found[START] == (0, None, False, 'deeplab')
    assert found['both + CRF'] == (1, [0, 1], False, 'deeplab')
    resolve_crf_params('deeplab')
    # A training is shared by rows that differ in their test only.
    names = {row.name: training_name(row) for row in map_rows()}
    assert set(names.values()) == {'plain', 'importance'}
    assert len({row.stem for row in [*map_rows(), *segmenter_rows()]}) == 13


def test_segmenters_are_two_losses_and_two_backbones(repo):
    found = set()
    for row in segmenter_rows():
        cfg = Config.fromfile(repo / row.config)
        cfg.merge_from_dict(options_of(row.training))
        found.add(
            (
                cfg.model.backbone.frozen_stages == 5,
                cfg.model.decode_head.loss_decode.type,
            )
        )
        model = MODELS.build(
            dict(cfg.model, backbone=dict(cfg.model.backbone, pretrained=None))
        )
        trained = any(p.requires_grad for p in model.backbone.parameters())
        assert trained == (cfg.model.backbone.frozen_stages != 5)
    assert len(found) == 4
    assert {loss for _, loss in found} == {'CrossEntropyLoss', 'CAMSeedLoss'}


def test_no_masks_but_those_of_a_test(repo):
    """Trainings read pseudo masks; the check of tags reads none."""
    tags = Config.fromfile(repo / TAGS)
    assert 'LoadTruth' not in str(tags.test_dataloader.dataset.pipeline)
    assert tags.test_dataloader.dataset.part == 'held_out'
    assert tags.test_dataloader.dataset.ann_file.endswith('train.txt')
    segmenter = Config.fromfile(repo / SEGMENTER)
    assert 'LoadTruth' not in str(segmenter.train_dataloader)
    assert segmenter.train_dataloader.dataset.part is None


def test_gain_of_regions_by_hand():
    """Found inside and not outside, on a tenth: (1 + 1) / 2 - .1."""
    inside = torch.tensor([[True, True, False]])
    outside = torch.tensor([[False, True, True]])
    area = torch.tensor([[0.1, 0.5, 0.1]])
    gains = region_gain(inside, outside, area)
    assert torch.allclose(gains, torch.tensor([0.9, 0.0, -0.1]))
    # All, or nothing, tells no more than its size.
    whole = region_gain(
        torch.tensor([[True, False]]),
        torch.tensor([[False, True]]),
        torch.tensor([[1.0, 0.0]]),
    )
    assert whole.tolist() == [0, 0]
    assert len(set(THRESHOLDS)) == 13


@pytest.mark.parametrize(
    ('values', 'text'),
    [([None], ''), ([50.0], '50.0'), ([48.0, 52.0], '50.0 ± 2.0')],
)
def test_cell(values, text):
    assert cell(values) == text


def test_page():
    rows = [*map_rows(), *segmenter_rows()]
    rows[0].results = [dict(raw=40.0, refined=None, minutes=2.0)]
    rows[-1].results = [dict(raw=45.0, minutes=3.0)]
    text = report(
        rows, 'a machine', 1, {350: 80.1, 700: 82.3}, 700,
        {'plain': 0.25}, trial=True,
    )  # fmt: skip
    assert '| CAM | yes | 40.0 |  | 2.0 |' in text
    assert '| segmenter, CAMSeedLoss, trained | no | 45.0 |  | 3.0 |' in text
    assert text.count('\n| ') == 3
    assert '350: 80.1, 700: 82.3; taken: 700' in text
    assert 'plain 0.25' in text
    assert 'mean nothing' in text
