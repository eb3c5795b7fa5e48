import json

import numpy as np
import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import JOINED
from mmseg_weakclip.apps.wsss.outside.compare import (
    CASES,
    compare_sources,
    count_cases,
    describe_comparison,
)
from mmseg_weakclip.apps.wsss.outside.join import (
    agreed_labels,
    describe_join,
    join_sources,
)
from mmseg_weakclip.common.masks import encode_mask
from mmseg_weakclip.evaluation.areas import confusion_matrix


def test_what_both_say_stands():
    first = np.array([[0, 1, 2, 255, 255, 1]], np.uint8)
    second = np.array([[0, 1, 1, 255, 2, 255]], np.uint8)
    joined = agreed_labels(first, second)
    assert joined.tolist() == [[0, 1, 255, 255, 255, 255]]
    assert joined.dtype == np.uint8
    np.testing.assert_array_equal(joined, agreed_labels(second, first))
    np.testing.assert_array_equal(agreed_labels(first, first), first)


def test_cases_by_hand():
    truth = np.array([[0, 1, 1, 1, 1, 1, 255, 2]])
    method = np.array([[0, 1, 0, 0, 0, 255, 1, 2]])
    outside = np.array([[0, 0, 1, 0, 2, 1, 1, 255]])
    found = count_cases(method, outside, truth, 3)
    assert dict(zip(CASES, found[0].tolist())) == dict(
        both_right=1, method_right=0, outside_right=0, same_wrong=0,
        both_wrong=0,
    )  # fmt: skip
    assert found[1].tolist() == [0, 1, 2, 1, 1]
    assert found[2].tolist() == [0, 1, 0, 0, 0]


def test_cases_are_those_of_confusion_matrices():
    """Rights of each source, and all pixels, whatever the masks."""
    rng = np.random.default_rng(0)
    ids = np.array([0, 1, 2, 255])
    masks = [ids[rng.integers(0, 4, (9, 13))] for _ in range(3)]
    found = count_cases(*masks, 3)
    for place, mask in enumerate(masks[:2]):
        matrix = confusion_matrix(mask, masks[2], 3)
        right = found[:, 0] + found[:, 1 + place]
        np.testing.assert_array_equal(matrix[:, :3].diagonal(), right)
        np.testing.assert_array_equal(matrix.sum(1), found.sum(1))
    swapped = count_cases(masks[1], masks[0], masks[2], 3)
    np.testing.assert_array_equal(swapped[:, [0, 2, 1, 3, 4]], found)


@pytest.fixture
def joined_run(world, rows, tmp_path):
    """A run with truth of two images, and masks of both sources."""
    for folder in ('truth', 'out/refined_seeds/masks',
                   'out/refined_outside/masks'):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)

    def save(folder, name, *ids):
        path = tmp_path / folder / f'{name}.png'
        path.write_bytes(encode_mask(rows(*ids), [[0] * 3] * 3))

    def build(truth=True):
        for name in 'ab' * truth:
            save('truth', name, 0, 1)
        save('seeds', 'a', 0, 1)
        for name in 'abcd':
            save('out/refined_seeds/masks', name, 0, 0, 1, 1)
            save('out/refined_outside/masks', name, 0, 1, 0, 1)
        save('out/refined_outside/masks', 'c', 255, 255, 2, 2)
        options = dict(method='excel', val_share=0.0)
        if truth:
            options['truth'] = str(tmp_path / 'truth')
        return world.run(world.sources(**options), **options)

    return build


def test_joined_masks(joined_run, world, rows):
    run = joined_run()
    summary = join_sources(run, run.folder / 'masks', dict(masks='x'))
    assert world.mask('a', 'masks').tolist() == rows(0, 255, 255, 1).tolist()
    assert (world.mask('c', 'masks') == 255).all()
    assert (run.folder / 'masks/train.txt').read_text().split() == [
        'a.jpg', 'b.jpg', 'd.jpg'
    ]  # fmt: skip
    assert summary == dict(images=4, labelled=0.375, left_out=['c.jpg'])
    text = '\n'.join(describe_join(summary))
    assert 'both agree on 38 % of the pixels of 4 images' in text
    assert '1 image without an agreed pixel left out' in text


def test_which_was_right(joined_run):
    run = joined_run()
    join_sources(run, run.folder / 'masks', {})
    found = compare_sources(run)
    assert found['images'] == 2
    # By hand: the method takes 0, 1 for 0, 1, the other swaps the middle.
    assert found['mIoU'] == dict(method=100.0, outside=33.33, joined=50.0)
    quarter = 2 * 24
    assert found['classes']['cat'] == dict(
        both_right=quarter, method_right=quarter, outside_right=0,
        same_wrong=0, both_wrong=0,
    )  # fmt: skip
    assert not any(found['classes']['dog'].values())
    saved = json.loads((run.folder / JOINED).read_text())
    assert saved['truth'] == found
    assert saved['labelled'] == 0.375
    first, second = describe_comparison(found)
    assert 'method 100.0, of --seeds 33.3, joined 50.0 mIoU' in first
    assert 'the method is right on 100 %, --seeds on 0 % of' in second


def test_without_truth_nothing_is_compared(joined_run):
    run = joined_run(truth=False)
    join_sources(run, run.folder / 'masks', {})
    assert compare_sources(run) is None
    assert json.loads((run.folder / JOINED).read_text())['truth'] is None
    assert describe_comparison(None) == []


def test_masks_that_never_agree(joined_run, tmp_path, rows):
    run = joined_run()
    for name in 'abcd':
        path = tmp_path / f'out/refined_outside/masks/{name}.png'
        path.write_bytes(encode_mask(rows(255, 255), [[0] * 3]))
    with pytest.raises(UserError, match='joined with --seeds leaves no pixel'):
        join_sources(run, run.folder / 'masks', {})
