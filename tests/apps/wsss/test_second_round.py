import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.registry import MODELS

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.arguments import parse_args, read_options
from mmseg_weakclip.apps.wsss.config_files import stage_words
from mmseg_weakclip.apps.wsss.options import METHODS
from mmseg_weakclip.apps.wsss.second_round import describe_lost
from mmseg_weakclip.apps.wsss.stages import checkpoint_name, stages_of
from mmseg_weakclip.datasets.configs import iter_dicts
from mmseg_weakclip.pseudo_masks.store import MaskStore


@pytest.fixture
def run(make_run):
    return make_run(
        method='excel', clip='toyclip', segmenter='fpn_small', rounds=2
    )


@pytest.fixture
def stages():
    return {stage.name: stage for stage in stages_of('excel', 2)}


@pytest.mark.parametrize('method', METHODS)
def test_the_first_round_is_a_run_of_one(method):
    """So a finished run goes on with its second round."""
    one, two = (
        {stage.name: stage for stage in stages_of(method, rounds)}
        for rounds in (1, 2)
    )
    assert set(two) - set(one) == {'masks_2', 'segmenter_2'}
    names = list(two)
    place = names.index('segmenter')
    assert names[place + 1 :] == [
        'masks_2', 'segmenter_2', 'predict', 'score', 'results', 'report'
    ]  # fmt: skip
    for name in names[: place + 1]:
        assert (one[name].reads, one[name].weights) == (
            two[name].reads,
            two[name].weights,
        )


def test_what_each_stage_reads(run, stages):
    masks, trained = stages['masks_2'], stages['segmenter_2']
    assert masks.weights == 'segmenter'
    assert stages['predict'].weights == 'segmenter_2'
    assert 'masks_2' in trained.reads
    assert stages['results'].reads == ('data', 'masks_2', 'predict')
    words = stage_words(run, masks, stages)
    first = checkpoint_name(run, stages['segmenter'])
    assert str(run.folder / first) in words
    assert '--tta' in words
    config = trained.config(run)
    dataset = config.train_dataloader.dataset
    assert dataset.data_prefix.seg_map_path == str(
        run.folder / 'masks_2/masks'
    )
    assert config.work_dir == str(run.folder / 'segmenter_2')
    assert checkpoint_name(run, trained).startswith('segmenter_2/iter_')


def test_masks_are_restricted_to_the_tags_and_see_no_truth(run, stages):
    config = stages['masks_2'].config(run)
    writer = config.test_evaluator
    assert writer.use_labels
    assert writer.crf == run.profile.crf
    assert 'flips' not in writer
    assert writer.keep_lost == str(run.folder / 'masks/masks')
    assert 'masks' in stages['masks_2'].reads
    for pipeline in (
        config.tta_pipeline,
        config.test_dataloader.dataset.pipeline,
    ):
        found = {part.get('type') for part in iter_dicts(pipeline)}
        assert 'LoadImageLabels' in found
        assert 'LoadTruthIfPresent' not in found
        Compose(pipeline)
        packs = [
            part
            for part in iter_dicts(pipeline)
            if part.get('type') == 'PackSegInputs'
        ]
        assert all('image_labels' in part['meta_keys'] for part in packs)
    assert config.test_dataloader.dataset.ann_file == 'labelled.txt'
    again = Config.fromstring(config.pretty_text, '.py')
    assert again.to_dict() == config.to_dict()


def test_what_was_not_found_is_said(run):
    assert describe_lost(run) == []
    store = MaskStore(run.folder / 'masks_2')
    store.open({})
    first, second = run.classes.names[1:3]
    for name, lost in (('a', [1]), ('b', []), ('c', [1, 2])):
        store.write_mask(name, np.zeros((2, 2), np.uint8), [[0, 0, 0]])
        store.finish(dict(id=name, lost=lost))
    (line,) = describe_lost(run)
    assert line.startswith('2 images show something that the segmenter did')
    assert line.endswith(f': {first} in 2, {second} in 1')


def test_flips(make_run, stages):
    run = make_run(clip='toyclip', rounds=2, ignore_flips=True)
    assert stages['masks_2'].config(run).test_evaluator.flips == {}


def test_own_predictions_teach_both_segmenters(make_run, stages):
    run = make_run(
        clip='toyclip', segmenter='fpn_small', rounds=2, self_target=True
    )
    for name in ('segmenter', 'segmenter_2'):
        model = stages[name].config(run).model
        loss = model.decode_head.loss_decode
        assert loss.type == 'SelfTargetLoss'
        plain = stages[name].config(
            make_run(clip='toyclip', segmenter='fpn_small')
        )
        assert loss.loss == plain.model.decode_head.loss_decode
        MODELS.build(model)
    predict = stages['predict'].config(run)
    assert predict.model.decode_head.loss_decode == loss.loss


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--rounds', '3'], '--rounds 3 must be 1 or 2'),
        (['--ignore-flips'], 'add --rounds 2'),
        (
            ['--ignore-flips', '--rounds', '2', '--crf', 'none'],
            '--ignore-flips needs the CRF',
        ),
    ],
)
def test_mistakes(tmp_path, words, message):
    (tmp_path / 'tags.csv').write_text('image,tags\na.jpg,x\n')
    given = [
        *('--images', str(tmp_path), '--labels', str(tmp_path / 'tags.csv')),
        *('--work-dir', str(tmp_path / 'out'), *words),
    ]
    with pytest.raises(UserError, match=message):
        read_options(parse_args(None, given), None)
