"""`--affinity`: seeds that another model's features spread."""

import pytest
from mmseg.registry import MODELS

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.weights import clip_models, starting_weights
from mmseg_weakclip.apps.wsss.affinity import DINOV2_MODEL
from mmseg_weakclip.apps.wsss.arguments import parse_args, read_options
from mmseg_weakclip.apps.wsss.config_edits import set_clip
from mmseg_weakclip.apps.wsss.method_configs import seeds_config
from mmseg_weakclip.apps.wsss.options import RANDOM_AFFINITY_NOTE
from mmseg_weakclip.datasets.configs import iter_dicts


def test_clip_of_the_user_leaves_models_of_timm():
    """Both have ``model`` and ``pretrained``."""
    parts = {
        kind: dict(type=kind, model='name', pretrained=True)
        for kind in ('TimmAffinity', 'TimmFeatures', 'CLIPViT')
    }
    # timm's weights are the default of the part.
    parts['TimmAffinity'].pop('pretrained')
    model = dict(backbone=dict(parts['CLIPViT'], guide=parts['TimmAffinity']),
                 guide=parts['TimmFeatures'])  # fmt: skip
    set_clip(model, 'ViT-L-14', 'w.pt')
    assert clip_models(model) == {('ViT-L-14', 'w.pt')}
    assert set(starting_weights(model)) == {'timm:name'}
    for kind in ('TimmAffinity', 'TimmFeatures'):
        assert parts[kind]['model'] == 'name'
    parts['TimmFeatures']['pretrained'] = 'f.pth'
    assert set(starting_weights(model)) == {'timm:name', 'f.pth'}


@pytest.mark.parametrize('profile', ['photos', 'toyland'])
@pytest.mark.parametrize('kind', ['excel', 'clipes', 'cam', 'clims'])
def test_seeds_of_each_method(make_run, kind, profile):
    run = make_run(
        method=kind, affinity='test_vit', affinity_weights='none',
        clip=None if kind == 'cam' else 'toyclip', profile=profile,
        backbone_weights='none' if kind in ('cam', 'clims') else None,
    )  # fmt: skip
    plain = make_run(method=kind, profile=profile, clip=run.options.clip)
    assert RANDOM_AFFINITY_NOTE in run.options.notes
    before = seeds_config(plain, kind).model
    cfg = seeds_config(run, kind).model
    (guide,) = (
        part
        for part in iter_dicts(cfg)
        if part.get('type') in ('TimmAffinity', 'TimmFeatures')
    )
    assert (guide['model'], guide['pretrained']) == ('test_vit', None)
    assert guide['mean'] == list(cfg.data_preprocessor.mean)
    assert clip_models(cfg) == clip_models(before)
    if kind in ('cam', 'clims'):
        assert cfg.type == 'GuidedEncoderDecoder'
        assert cfg.decode_head.correlation == dict(levels=(0,))
    else:
        share = 0.6 if before.decode_head.get('affinity') else 1.0
        assert cfg.decode_head.affinity.guide_share == share
        box = (before.decode_head.get('affinity') or {}).get('box_threshold')
        assert cfg.decode_head.affinity.get('box_threshold') == box
    if profile == 'toyland' and kind != 'clims':
        MODELS.build(cfg)


def test_names(make_run):
    for affinity, weights, source in (
        ('clip', None, set()),
        (None, None, set()),
        ('dinov2', None, {f'timm:{DINOV2_MODEL}'}),
        ('resnet18', 'w.pth', {'w.pth'}),
    ):
        run = make_run(
            method='excel', affinity=affinity, affinity_weights=weights
        )
        model = seeds_config(run, 'excel').model
        assert set(starting_weights(model)) == source


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--affinity', 'dinov5'], "--affinity: timm has no model 'dinov5'"),
        (
            ['--affinity', 'swin_tiny_patch4_window7_224'],
            'gives no feature maps',
        ),
        (['--affinity-weights', 'none'], 'name their model by --affinity'),
        (
            ['--affinity', 'clip', '--affinity-weights', 'none'],
            'name their model by --affinity',
        ),
        (
            ['--affinity', 'test_vit', '--affinity-weights', 'gone.pth'],
            'gone.pth does not exist',
        ),
        (
            ['--method', 'cam', '--affinity', 'clip'],
            "are not spread by CLIP's attention",
        ),
        (
            ['--method', 'seeds', '--seeds', '.', '--affinity', 'dinov2'],
            'makes no class maps',
        ),
    ],
)
def test_mistakes(words, said):
    words = ['--work-dir', 'out', '--images', 'i', '--labels', 'l', *words]
    with pytest.raises(UserError, match=said):
        read_options(parse_args(None, words), None)


def test_relative_file_of_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'w.pth').touch()
    words = ['--work-dir', 'out', '--images', 'i', '--labels', 'l']
    words += ['--affinity', 'test_vit', '--affinity-weights', 'w.pth']
    options = read_options(parse_args(None, words), None)
    assert options.affinity_weights == str(tmp_path / 'w.pth')
