"""`--method cam`: a classifier on the user's tags, without CLIP."""

import pytest
import torch

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.weights import (
    clip_models,
    replace_weights,
    starting_weights,
)
from mmseg_weakclip.apps.wsss.arguments import parse_args, read_options
from mmseg_weakclip.apps.wsss.config_files import stage_command
from mmseg_weakclip.apps.wsss.manifest import Manifest
from mmseg_weakclip.apps.wsss.options import RANDOM_BACKBONE_NOTE
from mmseg_weakclip.apps.wsss.plan import describe_plan
from mmseg_weakclip.apps.wsss.stages import stages_of
from mmseg_weakclip.datasets.configs import iter_dicts


def configs_of(run, method='cam'):
    return {
        stage.name: stage.config(run)
        for stage in stages_of(method)
        if stage.config is not None
    }


def test_stages_in_their_order():
    names = [stage.name for stage in stages_of('cam')]
    assert names[:5] == ['data', 'cam', 'tags', 'seeds', 'masks']
    names = [stage.name for stage in stages_of('cam+weakclip')]
    assert names[:6] == [
        'data', 'cam', 'tags', 'seeds', 'refined_seeds', 'weakclip',
    ]  # fmt: skip


def test_held_out_photos_are_not_trained_on(make_run):
    configs = configs_of(make_run(method='cam'))
    train = configs['cam'].train_dataloader
    assert train.dataset.part == 'fit'
    assert train.sampler.type == 'RepeatFactorSampler'
    tags = configs['tags'].test_dataloader.dataset
    assert (tags.part, tags.ann_file) == ('held_out', 'train.txt')
    assert configs['tags'].model.decode_head.predicts == 'tags'
    # Maps are made of all.
    seeds = configs['seeds'].test_dataloader.dataset
    assert 'part' not in seeds
    assert configs['seeds'].model.decode_head.get('predicts') is None


def test_no_clip_in_any_config(make_run):
    run = make_run(method='cam', segmenter='fpn_small')
    for config in configs_of(run).values():
        model = config.get('model') or {}
        assert not clip_models(model)
        kinds = [part.get('type') for part in iter_dicts(model)]
        assert not any('CLIP' in str(kind) for kind in kinds)
    plan = describe_plan(run, stages_of('cam'))
    assert '--clip-size' not in plan[-1]


@pytest.mark.parametrize('method', ['cam', 'clims'])
@pytest.mark.parametrize(
    ('name', 'channels', 'stride', 'mean'),
    [
        ('resnet18', 512, 16, 123.675),
        ('test_vit', 64, None, 127.5),
        ('mobilenetv3_small_050', 288, None, 123.675),
    ],
)
def test_backbone_of_the_user(make_run, method, name, channels, stride, mean):
    run = make_run(method=method, backbone=name, clip='toyclip')
    configs = configs_of(run, method)
    stages = ['seeds', 'cam', 'tags']
    if method == 'clims':
        stages = ['seeds', 'clims', 'classifier']
    for stage in stages:
        model = configs[stage].model
        assert model.backbone.model_name == name
        assert model.backbone.get('output_stride') == stride
        assert model.decode_head.in_channels == channels
        assert model.data_preprocessor.mean[0] == mean
        assert set(starting_weights(model)) == {f'timm:{name}'}
        replace_weights(model, 'w.pth')
        assert set(starting_weights(model)) == {'w.pth'}
        replace_weights(model, None)
        assert not set(starting_weights(model))


def test_weights_of_the_user(make_run):
    file = make_run(method='cam', backbone_weights='w.pth')
    backbone = configs_of(file)['cam'].model.backbone
    assert (backbone.pretrained, backbone.frozen_stages) == ('w.pth', 2)
    none = make_run(method='cam', backbone_weights='none')
    backbone = configs_of(none)['cam'].model.backbone
    # Random weights have to learn, and so have the statistics of norms.
    assert (backbone.pretrained, backbone.frozen_stages) == (None, 0)
    assert not backbone.norm_eval
    assert RANDOM_BACKBONE_NOTE in none.options.notes
    again = type(none.options).from_json(none.options.to_json())
    assert again.with_clip_defaults() == none.options


@pytest.mark.parametrize(
    ('photos', 'options', 'iterations'),
    [
        (100, {}, 300),
        (500, {}, 5 * 999 // 16),
        (2500, {}, 1200),
        (1500, dict(batch_size=20), 5 * 2999 // 20),
        (500, dict(method_iterations=7), 7),
    ],
)
def test_length_follows_the_number_of_photos(
    make_run, photos, options, iterations
):
    run = make_run(method='cam', sizes=[(96, 96)] * photos, **options)
    cfg = configs_of(run)['cam']
    assert cfg.train_cfg.max_iters == iterations
    assert cfg.param_scheduler[-1]['end'] == iterations


def test_options_of_a_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'w.pth').touch()
    words = ['--work-dir', 'out', '--images', 'i', '--labels', 'l.csv']
    words += ['--method', 'cam', '--profile', 'toyland']
    args = parse_args(None, [*words, '--backbone-weights', 'w.pth'])
    options = read_options(args, None)
    assert options.backbone_weights == str(tmp_path / 'w.pth')
    # The profile's CLIP is not used.
    assert options.clip is options.clip_weights is None
    args = parse_args(None, [*words, '--backbone-weights', 'timm'])
    assert read_options(args, None).backbone_weights == 'timm'


def test_what_was_said_of_a_classifier_ends_with_it(tmp_path, monkeypatch):
    """A run that is resumed with a method without one."""
    monkeypatch.chdir(tmp_path)
    words = ['--work-dir', 'out', '--images', 'i', '--labels', 'l.csv']
    given = ['--method', 'cam', '--backbone', 'resnet18']
    first = read_options(parse_args(None, [*words, *given]), None)
    before = Manifest(tmp_path, first, [])

    def again(*more):
        args = parse_args(None, ['--work-dir', 'out', '--resume', *more])
        return read_options(args, before)

    assert again().backbone == 'resnet18'
    assert again('--method', 'clims').backbone == 'resnet18'
    assert again('--method', 'excel').backbone is None
    with pytest.raises(UserError, match='trains no classifier'):
        again('--method', 'excel', '--backbone', 'resnet18')


def test_command_of_the_check(make_run):
    run = make_run(method='cam', method_iterations=5)
    stages = {stage.name: stage for stage in stages_of('cam')}
    words = stage_command(run, stages['tags'], stages)
    assert words[3] == 'test'
    assert words[5].endswith('cam/iter_5.pth')
    assert '--tta' not in words
    assert '--tta' in stage_command(run, stages['seeds'], stages)


def test_a_run_without_clip(call, data, tmp_path):
    """A tiny ViT from random weights, up to the masks, and again."""
    out = tmp_path / 'out'
    words = (
        *data, '--work-dir', out, '--method', 'cam', '--profile', 'toyland',
        '--backbone', 'test_vit', '--backbone-weights', 'none',
        '--segmenter', 'fpn_small', '--iterations', '4', '--batch-size', '2',
        '--method-iterations', '4', '--gpus', '0', '--until', 'masks',
    )  # fmt: skip
    stdout, _ = call(*words)
    assert 'average precision on the tags of 1 image held out' in stdout
    assert 'warning: not judged' in stdout
    assert len(list((out / 'masks/masks').iterdir())) == 16
    state = torch.load(out / 'cam/iter_4.pth', weights_only=False)
    assert 'backbone.network.cls_token' in state['state_dict']
    again = ('--work-dir', out, '--resume', '--until', 'masks')
    stdout, _ = call(*again)
    assert stdout.count('done before') == 5
    (out / 'tags/average_precision.json').unlink()
    stdout, _ = call(*again)
    assert stdout.count('done before') == 4
