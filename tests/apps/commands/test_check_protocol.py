"""What a config's test is, beside a paper's."""

import pytest
from mmengine.config import Config

from mmseg_weakclip.apps.cli import main
from mmseg_weakclip.apps.commands.check_protocol import (
    describe_config,
    describe_paper,
    differences,
)
from mmseg_weakclip.evaluation.published_protocols import PUBLISHED_PROTOCOLS
from mmseg_weakclip.models.refine.crf_params import CRF_PRESETS

STANDARD = 'segmenters/deeplabv2_r101_1xb5-40k_voc12-321x321'
WEAK = 'segmenters/deeplabv1_resnet38d_4xb4-40k_voc12-448x448'

VOC = 'excel_vit-b16_1xb4-30k_voc12-320x320'
COCO = 'excel_vit-b16_1xb4-100k_coco14-320x320'


@pytest.fixture
def say(capsys):
    """Run the command; gives its code and what it prints."""

    def run(*words):
        code = main(['check-protocol', *words])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.mark.parametrize('paper', ['clipes', 'clims', 'pot'])
def test_the_fields_segmenter_is_tested_as_published(say, paper):
    code, said = say(STANDARD, '--like', paper)
    assert code == 0
    assert 'No known difference' in said
    assert 'the number "single view + CRF"' in said
    assert '1, 0.75, 0.5' in said


def test_differences_are_named(say):
    code, said = say(WEAK, '--like', 'weclip')
    assert code == 1
    assert 'Differs from WeCLIP: size, views, fused, CRF.' in said
    assert '3/3; 4/64/5' in said
    assert said.count('differs ') == 4


def test_a_config_alone(say):
    code, said = say('excel_voc')
    assert code == 0
    for text in ('320 x 320', '0.7, 1, 1.2, 1.5', 'logits', '3/1; 4/67/3'):
        assert text in said
    assert 'differs' not in said


@pytest.mark.parametrize(
    ('name', 'paper', 'end'),
    [
        (f'{VOC}_released', 'excel', 'No known difference from ExCEL, VOC.'),
        (VOC, 'excel', 'Differs from ExCEL, VOC: views.'),
        (f'{COCO}_released', 'excel-coco', 'Differs from ExCEL, COCO: split.'),
        (COCO, 'excel-coco', 'Differs from ExCEL, COCO: split, fused.'),
    ],
)
def test_a_view_that_is_not_flipped_is_told(say, name, paper, end):
    """ExCEL does not flip scale 1 on VOC, and averages small maps on COCO."""
    _, said = say(f'excel/{name}', '--like', paper)
    assert said.rstrip().endswith(end)
    assert ('each flipped too except 1 ' in said) == (paper == 'excel')


def test_options_change_what_is_said(say):
    options = ('protocol.crf=weclip', 'tta_model.average_scale=0.2')
    code, said = say('excel_voc', '--cfg-options', *options)
    assert code == 0
    assert '3/3; 4/64/5' in said
    assert 'logits at 0.2 of the size' in said


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['nowhere.py'], 'cannot find the config nowhere.py'),
        (['excel_voc', '--like', 'exel'], '--like exel is unknown; did you'),
        (['excel_voc', '--like', 'unet'], 'known: clipes, clims'),
        (['clims/extract_voc12'], 'describes no model'),
        (
            ['excel_voc', '--cfg-options', 'test_dataloader=None'],
            'has no test: give a config',
        ),
    ],
)
def test_mistakes(say, words, message):
    code, said = say(*words)
    assert code == 2
    assert message in said
    assert said.count('\n') == 1


@pytest.mark.parametrize('paper', PUBLISHED_PROTOCOLS)
def test_papers_agree_with_themselves(paper):
    entry = PUBLISHED_PROTOCOLS[paper]
    assert entry.source
    assert entry.crf in (None, '', *CRF_PRESETS)
    words = describe_paper(entry)
    assert differences(words, words) == []
    assert words.keys() == describe_config(small_config()).keys()


def small_config(**changes):
    pipeline = [dict(type='Resize', scale=(2048, 512), keep_ratio=True)]
    dataset = dict(type='A', ann_file='lists/val.txt', pipeline=pipeline)
    resize = [
        dict(type='Resize', scale=(int(2048 * r), int(512 * r)))
        for r in (0.5, 1.0, 1.5)
    ]
    flip = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1)]
    base = dict(
        model=dict(type='EncoderDecoder', decode_head=dict(type='B')),
        test_dataloader=dict(dataset=dataset),
        tta_model=dict(type='RunningTTAModel'),
        tta_pipeline=[dict(type='TestTimeAug', transforms=[resize, flip])],
    )
    return Config({**base, **changes})


def test_words_for_a_config():
    found = describe_config(small_config())
    assert found == {
        'split': 'val',
        'size': 'short side 512',
        'scales inside': '1',
        'views': '0.5, 1, 1.5, each flipped too',
        'fused': 'probabilities',
        'CRF': '3/1; 4/67/3',
        'threshold': 'none',
    }
    head = dict(background=dict(threshold=0.4))
    cfg = small_config(
        tta_pipeline=None,
        protocol=dict(crf=None),
        model=dict(type='X', decode_head=head),
    )
    found = describe_config(cfg)
    assert (found['views'], found['fused']) == ('one', 'one')
    assert (found['CRF'], found['threshold']) == ('none', '0.4')


def test_what_is_not_said_does_not_differ():
    ours = describe_config(small_config())
    theirs = describe_paper(PUBLISHED_PROTOCOLS['dfa'])
    assert 'not said' in theirs['CRF']
    assert differences(ours, theirs) == []
