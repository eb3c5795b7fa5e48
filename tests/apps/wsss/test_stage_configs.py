import json
from dataclasses import replace

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.registry import MODELS

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.weights import starting_weights
from mmseg_weakclip.apps.wsss.arguments import parse_args, read_options
from mmseg_weakclip.apps.wsss.config_edits import drop_transforms
from mmseg_weakclip.apps.wsss.config_files import (
    digest_config,
    stage_command,
)
from mmseg_weakclip.apps.wsss.method_configs import (
    background_prompts,
    seeds_config,
)
from mmseg_weakclip.apps.wsss.options import METHODS, SEGMENTERS
from mmseg_weakclip.apps.wsss.plan import stage_bytes
from mmseg_weakclip.apps.wsss.segmenter_configs import (
    check_segmenter,
    crop_side,
    load_segmenter,
    segmenter_iterations,
)
from mmseg_weakclip.apps.wsss.stages import checkpoint_name, stages_of
from mmseg_weakclip.datasets.configs import iter_dicts

CLIPS = ('toyclip', None)


def configs_of(run, method):
    return {
        stage.name: stage.config(run)
        for stage in stages_of(method)
        if stage.config is not None
    }


def kinds(value):
    return {part.get('type') for part in iter_dicts(value)}


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('method', METHODS)
def test_configs_are_the_users(make_run, method, clip):
    run = make_run(method=method, clip=clip, segmenter='fpn_small')
    configs = configs_of(run, method)
    for name, config in configs.items():
        for part in iter_dicts(config.to_dict()):
            if part.get('type') == 'WeakSegDataset':
                assert part['data_root'] == str(run.data)
                assert part['metainfo']['classes'] == list(run.classes.names)
            assert part.get('num_classes', 4) == 4, name
            if clip and 'pretrained' in part and 'model' in part:
                assert part['model'] == 'toyclip'
        for name in ('test_dataloader', 'train_dataloader'):
            if name in config:
                Compose(config[name].dataset.pipeline)
        if 'tta_pipeline' in config:
            Compose(config.tta_pipeline)
        # What is written can be read again and means the same.
        again = Config.fromstring(config.pretty_text, '.py')
        assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize('kind', ['cam', 'clims', 'excel', 'clipes'])
def test_the_size_that_clip_sees_is_not_that_of_a_classifier(make_run, kind):
    """A run that is resumed with another method keeps the flag."""
    plain, sized = (
        seeds_config(make_run(clip_size=size), kind) for size in (None, 224)
    )
    same = plain.tta_pipeline == sized.tta_pipeline
    assert same == (kind in ('cam', 'clims'))


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('method', METHODS)
def test_truth_is_seen_by_scores_only(make_run, method, clip):
    run = make_run(method=method, clip=clip, segmenter='fpn_small')
    for name, config in configs_of(run, method).items():
        for key, value in config.to_dict().items():
            text = str(value)
            if name == 'segmenter' and key in (
                'val_dataloader',
                'test_dataloader',
            ):
                assert "'seg_map_path': 'truth'" in text
                continue
            if name == 'segmenter' and key == 'tta_pipeline':
                continue
            assert not kinds(value) & {'LoadTruthIfPresent', 'LoadAnnotations'}
            assert "'truth'" not in text


@pytest.mark.parametrize('method', METHODS)
def test_toy_models_can_be_built(make_run, method):
    run = make_run(method=method, clip='toyclip', segmenter='fpn_small')
    for config in configs_of(run, method).values():
        if 'model' in config:
            MODELS.build(config.model)


def test_widths_of_another_clip(make_run):
    run = make_run(method='weakclip', clip='ViT-L-14-quickgelu')
    config = configs_of(run, 'weakclip')['weakclip']
    assert config.model.backbone.out_indices == (7, 11, 15, 23)
    assert config.model.backbone.adapter.channels == 1024
    assert config.model.neck.in_channels == [1024] * 4
    assert config.model.neck.embed_dim == 768
    assert config.model.backbone.pretrained == 'openai'


def test_random_weights_are_told(make_run):
    run = make_run(clip_weights='random')
    seeds = configs_of(run, 'excel')['seeds']
    assert seeds.model.backbone.pretrained is None
    assert seeds.model.backbone.model == 'ViT-B-16-quickgelu'
    assert 'mean nothing' in run.options.notes[0]
    again = type(run.options).from_json(run.options.to_json())
    assert again.with_clip_defaults() == run.options


def test_words(make_run, tmp_path):
    (tmp_path / 'c.yaml').write_text(
        'classes: [{name: Trees, prompts: [oak]}, sky]\n'
    )
    run = make_run(classes=str(tmp_path / 'c.yaml'))
    words = background_prompts(run)
    assert 'water' in words
    assert not {'tree', 'sky'} & set(words)
    text = configs_of(run, 'excel')['seeds'].model.decode_head.text
    assert text.names == [['oak'], ['sky']]
    assert text.background_words == words
    # Published aliases would replace the user's own words.
    assert 'aliases' not in text


def test_schedules_shrink_in_proportion(make_run):
    run = make_run(
        method='weakclip', clip='toyclip', method_iterations=80,
        iterations=160, segmenter='fpn_small',
    )  # fmt: skip
    configs = configs_of(run, 'weakclip')
    warm_up, cosine = configs['weakclip'].param_scheduler
    assert (warm_up['end'], cosine['end'], cosine['T_max']) == (5, 80, 80)
    assert configs['segmenter'].train_cfg.max_iters == 160
    assert configs['segmenter'].train_cfg.val_interval == 40
    assert configs['segmenter'].default_hooks.checkpoint.interval == 16
    names = {
        stage.name: checkpoint_name(run, stage)
        for stage in stages_of('weakclip')
        if stage.kind == 'train'
    }
    assert names == dict(
        weakclip='weakclip/iter_80.pth', segmenter='segmenter/iter_160.pth'
    )


def test_clims_goes_on_from_the_classifier(make_run):
    run = make_run(method='clims', clip='toyclip', method_iterations=30)
    configs = configs_of(run, 'clims')
    assert configs['clims'].load_from.endswith('/classifier/iter_30.pth')
    assert 'load_from' not in configs['classifier']


@pytest.mark.parametrize(
    ('sizes', 'crop', 'side', 'ratios'),
    [
        ([(96, 96)], 96, 160, (0.75, 1.25)),
        ([(128, 140)], 128, 160, (0.75, 1.4)),
        ([(640, 480)], 480, 480, (0.75, 1.75)),
        ([(4000, 3000), (500, 375), (500, 375)], 384, 384, (0.75, 1.75)),
        ([(40, 40)], 64, 160, (0.75, 1.25)),
        ([(4000, 3000)], 512, 512, (0.75, 1.75)),
    ],
)
def test_crops_fit_the_images(make_run, sizes, crop, side, ratios):
    """Small images are enlarged, to be seen by networks that shrink."""
    run = make_run(sizes=sizes)
    configs = configs_of(run, 'excel')
    cfg = configs['segmenter']
    _, _, resize, cut, *_ = cfg.train_dataloader.dataset.pipeline
    assert cfg.model.data_preprocessor.size == (crop, crop)
    assert tuple(cut.crop_size) == (crop, crop)
    assert tuple(resize.scale) == (8 * side, side)
    assert resize.ratio_range == pytest.approx(ratios)
    for loader in (
        configs['predict'].test_dataloader,
        cfg.val_dataloader,
    ):
        assert tuple(loader.dataset.pipeline[1].scale) == (8 * side, side)
    # Images of several sizes can't be stacked.
    for loader in (
        configs['predict'].test_dataloader,
        configs['segmenter'].val_dataloader,
    ):
        assert loader.batch_size == 8
        assert ('batch_sampler' in loader) == (len(sizes) > 1)
    if len(sizes) > 1:
        assert configs['seeds'].test_dataloader.batch_size == 1


def test_few_images_are_not_passed_over_forever(make_run):
    cfg = Config(
        dict(
            train_cfg=dict(max_iters=20000),
            train_dataloader=dict(batch_size=4),
        )
    )
    assert segmenter_iterations(make_run(), cfg) == 1600
    run = make_run(sizes=[(96, 96)] * 400)
    assert segmenter_iterations(run, cfg) == 40 * 799 // 4
    run = make_run(sizes=[(96, 96)] * 400, batch_size=1)
    assert segmenter_iterations(run, cfg) == 20000
    assert segmenter_iterations(make_run(iterations=7), cfg) == 7


def test_a_size_that_is_asked_for(make_run):
    cfg = configs_of(make_run(segmenter_size=100), 'excel')['segmenter']
    _, _, resize, cut, *_ = cfg.train_dataloader.dataset.pipeline
    assert tuple(cut.crop_size) == (100, 100)
    assert tuple(resize.scale) == (800, 100)
    assert tuple(resize.ratio_range) == (0.75, 1.75)


@pytest.mark.parametrize('name', SEGMENTERS)
def test_segmenters_start_from_their_weights_or_none(make_run, name):
    published = set(
        starting_weights(load_segmenter(make_run(segmenter=name)).model)
    )
    assert len(published) == (name != 'fpn_small')
    run = make_run(segmenter=name, segmenter_weights='none')
    for stage in ('segmenter', 'predict'):
        model = configs_of(run, 'excel')[stage].model
        assert not set(starting_weights(model))
    run = make_run(segmenter=name, segmenter_weights='w.pth')
    model = configs_of(run, 'excel')['segmenter'].model
    assert set(starting_weights(model)) == ({'w.pth'} if published else set())


def test_random_weights_are_not_frozen(make_run):
    run = make_run(segmenter='dinov2-s', segmenter_weights='none')
    backbone = configs_of(run, 'excel')['segmenter'].model.backbone
    assert (backbone.pretrained, backbone.frozen_stages) == (None, 0)
    run = make_run(segmenter='dinov2-s', segmenter_weights='w.pth')
    backbone = configs_of(run, 'excel')['segmenter'].model.backbone
    assert (backbone.pretrained, backbone.frozen_stages) == ('w.pth', 12)


def test_timms_weights_by_name(make_run):
    run = make_run(segmenter='dinov2-s', segmenter_weights='timm')
    check_segmenter(run)
    model = configs_of(run, 'excel')['segmenter'].model
    (source,) = starting_weights(model)
    assert source == 'timm:vit_small_patch14_dinov2.lvd142m'
    run = make_run(segmenter='segformer_b2', segmenter_weights='timm')
    with pytest.raises(UserError, match='segformer_b2 does not start from'):
        check_segmenter(run)


@pytest.mark.parametrize(
    ('sides', 'name', 'crop'),
    [
        ((640, 480), 'deeplabv3plus_r50', 480),
        ((640, 480), 'dinov2-s', 34 * 14),
        ((4000, 3000), 'dinov2-s', 37 * 14),
        ((4000, 3000), 'lite0_fpn', 512),
        ((50, 30), 'dinov2-s', 5 * 14),
        ((50, 30), 'lite0_fpn', 64),
    ],
)
def test_crops_are_whole_patches(make_run, sides, name, crop):
    run = make_run(segmenter=name, sizes=[sides])
    assert crop_side(run) == crop
    model = configs_of(run, 'excel')['segmenter'].model
    assert tuple(model.data_preprocessor.size) == (crop, crop)


def test_transforms_are_dropped_inside_of_others():
    truth = dict(type='LoadTruthIfPresent')
    pack = dict(type='PackSegInputs')
    resize = dict(type='Resize', scale=(2048, 448))
    tta = dict(type='TestTimeAug', transforms=[[truth], [truth, pack]])
    kept = drop_transforms([truth, resize, tta], ['LoadTruthIfPresent'])
    # A size stays a tuple, as transforms want it.
    assert kept == [resize, dict(type='TestTimeAug', transforms=[[pack]])]


@pytest.fixture
def clip_folder(tmp_path):
    """The configuration of a CLIP of four thin blocks, in a folder."""
    config = dict(
        embed_dim=8,
        vision_cfg=dict(image_size=8, layers=4, width=16, patch_size=4),
        text_cfg=dict(context_length=6, vocab_size=20, width=16, heads=2),
    )
    folder = tmp_path / 'clip'
    folder.mkdir()
    text = json.dumps(dict(model_cfg=config))
    (folder / 'open_clip_config.json').write_text(text)
    return folder


def test_names_of_open_clip(make_run, clip_folder):
    """A folder has weights of its own; a slash is a hyphen."""
    run = make_run(clip='ViT-B/16')
    assert run.options.clip_weights == 'openai'
    folder = f'local-dir:{clip_folder}'
    run = make_run(clip=folder, method='weakclip')
    assert run.options.clip_weights is None
    model = configs_of(run, 'weakclip')['weakclip']['model']
    assert model['backbone']['model'] == folder
    assert model['backbone']['pretrained'] is None
    assert model['backbone']['adapter']['channels'] == 16
    assert model['neck']['embed_dim'] == 8


def test_clip_names_of_a_call(tmp_path, monkeypatch, clip_folder):
    monkeypatch.chdir(tmp_path)
    words = ['--work-dir', 'out', '--images', 'i', '--labels', 'l.csv']
    for given, name in {
        'ViT-B/16': 'ViT-B/16',
        'hf-hub:org/name': 'hf-hub:org/name',
        'local-dir:clip': f'local-dir:{clip_folder}',
    }.items():
        args = parse_args(None, [*words, '--clip', given])
        assert read_options(args, None).clip == name


def test_half_precision_is_for_all_networks(make_run):
    run = make_run(amp=True)
    stages = {stage.name: stage for stage in stages_of('excel+weakclip')}
    for stage in stages.values():
        if stage.kind not in ('train', 'test', 'refine'):
            continue
        words = stage_command(run, stage, stages)
        assert ('--amp' in words) == (stage.kind != 'refine'), stage.name
    assert '--amp' not in stage_command(make_run(), stages['seeds'], stages)


def test_the_segmenter_is_tested_where_there_is_truth(make_run):
    config = configs_of(make_run(), 'excel')['segmenter']
    assert config.test_dataloader == config.val_dataloader
    (resizes, flips, *_) = config.tta_pipeline[1]['transforms']
    assert [step.scale[1] for step in resizes] == [
        240, 360, 480, 600, 720, 840
    ]  # fmt: skip
    assert [step.prob for step in flips] == [0, 1]
    run = make_run()
    run = run.with_images([replace(i, truth=None) for i in run.images])
    config = configs_of(run, 'excel')['segmenter']
    assert not {'val_cfg', 'test_cfg', 'tta_pipeline'} & set(config)


def test_how_a_training_is_tested_is_no_change_of_it(make_run, tmp_path):
    path = tmp_path / 'segmenter.py'
    stages = {stage.name: stage for stage in stages_of('excel')}
    digests = {name: set() for name in ('segmenter', 'predict')}
    for text in ('x = 1', "x = 1\ntest_cfg = dict(type='TestLoop')"):
        path.write_text(text)
        for name, found in digests.items():
            found.add(digest_config(path, tmp_path, stages[name]))
    assert [len(digests[name]) for name in digests] == [1, 2]


def test_bytes_of_large_photos(make_run):
    """By hand: two photos, one label each, twice as long before the copy."""
    run = make_run()
    run = run.with_images(
        [
            replace(image, size=(1000, 1000), original_size=(2000, 2000))
            for image in run.images
        ]
    )
    sizes = {s.name: stage_bytes(run, s) for s in stages_of('excel')}
    assert sizes['masks'] == sizes['predict'] == 2 * 30_000
    assert sizes['seeds'] == 2 * (30_000 + 140_000)
    assert sizes['results'] == 2 * 2 * 60_000
    bare = run.with_images([replace(i, labels=()) for i in run.images])
    sizes = {s.name: stage_bytes(bare, s) for s in stages_of('excel')}
    assert sizes['seeds'] == sizes['masks'] == 0
    assert sizes['results'] == 2 * 60_000
