"""What the shipped weights of toyland's CLIP must know."""

import numpy as np
import open_clip
import pretraining
import pytest
import retrieval
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from retrieval import (
    average_precision,
    prompt_precision,
)

from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.toyland import writer
from mmseg_weakclip.toyland.writer import write_toyland


def test_average_precision_by_hand():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    truth = torch.tensor([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_clip_knows_the_classes_by_any_template():
    clip = load_clip('toyclip', 'toyland').eval()
    tokenizer = open_clip.get_tokenizer('toyclip')
    precision = prompt_precision(clip, tokenizer, 150)
    assert len(precision) > 5
    assert min(precision.values()) >= 0.95
    assert max(precision.values()) - min(precision.values()) < 0.01


def test_clip_has_not_seen_the_scenes_it_is_scored_on():
    assert pretraining.SEED != retrieval.SEED
    assert max(pretraining.SEED, retrieval.SEED) < writer.FIRST_SEED


def test_training_scenes_are_the_same_in_any_order():
    image, tags = pretraining.render(7)
    again, same_tags = pretraining.render(7)
    np.testing.assert_array_equal(image, again)
    assert tags == same_tags
    assert not np.array_equal(image, pretraining.render(8)[0])


def test_texts_come_with_the_tags_that_make_them_true():
    rng = np.random.default_rng(0)
    texts, needs = pretraining.write_texts([(0, 3), (5,)], 6, rng)
    assert len(texts) == len(needs) == len(pretraining.TAGS) + 6
    prompts = needs[: len(pretraining.TAGS)]
    torch.testing.assert_close(prompts, torch.eye(len(prompts)))
    for name, text in zip(pretraining.TAGS, texts):
        assert name in text
    for row in needs[len(prompts) :]:
        tags = set(row.nonzero().flatten().tolist())
        assert tags
        assert tags <= {0, 3} or tags <= {5}


def test_seeds_are_good_enough_to_learn_from(repo, tmp_path):
    """mIoU of the shipped seed config, image labels given: 45 or more."""
    root = tmp_path / 'toyland'
    write_toyland(root, train=1, val=150)
    cfg = Config.fromfile(repo / 'configs/toyland/seeds.py')
    cfg.work_dir = str(tmp_path / 'work')
    dataset = cfg.test_dataloader.dataset
    dataset.data_root = str(root)
    dataset.ann_file = 'ImageSets/Segmentation/val.txt'
    dataset.pipeline[1].ann_file = str(root / 'image_labels.json')
    cfg.test_dataloader.num_workers = 0
    cfg.test_evaluator.output_dir = str(tmp_path / 'seeds')
    scores = Runner.from_cfg(cfg).test()
    assert scores['pseudo_mask/raw_mIoU'] >= 45
