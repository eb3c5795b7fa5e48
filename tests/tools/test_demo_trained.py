"""tools/demo.py with a config and a checkpoint."""

import re

import numpy as np
import pytest
import torch
from mmseg.apis import inference_model, init_model
from mmseg.models import EncoderDecoder
from PIL import Image

from mmseg_weakclip.apps.demo.trained import load_trained
from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.toyland.dataset import ToylandDataset
from mmseg_weakclip.toyland.objects import CLASSES

CPU = torch.device('cpu')
OWN = ('background', *CLASSES)
OWN_CONFIG = """
_base_ = {base!r}
{rest}
"""
SLIDE = """
model = dict(test_cfg=dict(
    _delete_=True, mode='slide', crop_size=(64, 64), stride=(32, 32)))
"""
LOADED = """
test_dataloader = dict(dataset=dict(_delete_=True, type='ToylandDataset',
    pipeline=[dict(type={loader}), dict(type='PackSegInputs')]))
"""
NESTED = """
test_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset',
    datasets=[dict(
        type='BaseSegDataset', metainfo=dict(classes={classes}),
        pipeline=[
            dict(type='LoadImageFromFile', to_float32=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')])]))
"""
NAMES = tuple(f'kind {index}' for index in range(9))


@pytest.fixture(scope='session')
def toyland(repo):
    return repo / 'configs/toyland'


@pytest.fixture
def own_config(toyland, tmp_path):
    """A config over one of toyland's; returns its path."""

    def write(base, rest):
        path = tmp_path / 'own.py'
        base = str(toyland / base)
        path.write_text(OWN_CONFIG.format(base=base, rest=rest))
        return path

    return write


@pytest.fixture(scope='session')
def stock(toyland, tmp_path_factory):
    """A checkpoint of a stock segmenter that knows no classes."""
    torch.manual_seed(0)
    model = init_model(str(toyland / 'segmenter.py'), device='cpu')
    # As built, one class takes the whole picture.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    path = tmp_path_factory.mktemp('stock') / 'stock.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture
def picture(tmp_path):
    """A picture that is not square."""
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    path = tmp_path / 'one.png'
    Image.fromarray(image).resize((108, 72)).save(path)
    return path


@pytest.fixture
def mask_of(run_demo, picture, tmp_path):
    """The mask that the tool makes of the picture."""

    def run(config, checkpoint, *options):
        folder = tmp_path / 'masks'
        run_demo(
            picture,
            *('--config', config, '--checkpoint', checkpoint),
            *('--out-masks', folder),
            *options,
        )
        return Image.open(folder / 'one.png')

    return run


def expected_mask(config, checkpoint, picture):
    """By mmseg's own way."""
    model = init_model(str(config), str(checkpoint), device='cpu')
    model.cfg.test_pipeline = [
        transform
        for transform in model.cfg.test_dataloader.dataset.pipeline
        if transform.type != 'LoadTruthIfPresent'
    ]
    return inference_model(model, str(picture)).pred_sem_seg.data[0].numpy()


def test_own_checkpoint(toyland, checkpoint, picture, mask_of):
    config = toyland / 'weakclip.py'
    mask = mask_of(config, checkpoint)
    expected = expected_mask(config, checkpoint, picture)
    assert len(np.unique(expected)) > 1
    assert np.array_equal(np.asarray(mask), expected)
    palette = np.ravel(ToylandDataset.METAINFO['palette']).tolist()
    assert mask.getpalette()[: len(palette)] == palette


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_stock_segmenter(
    own_config, stock, picture, mask_of, monkeypatch, mode
):
    calls = []
    inference = getattr(EncoderDecoder, f'{mode}_inference')

    def count(self, *args):
        calls.append(mode)
        return inference(self, *args)

    monkeypatch.setattr(EncoderDecoder, f'{mode}_inference', count)
    config = own_config('segmenter.py', SLIDE if mode == 'slide' else '')
    mask = np.asarray(mask_of(config, stock))
    assert calls == [mode]
    expected = expected_mask(config, stock, picture)
    assert len(np.unique(expected)) > 1
    assert np.array_equal(mask, expected)


def test_float_images_and_nested_data_sets(own_config, stock, mask_of):
    """Whatever loads the truth is left out, and floats are the same image."""
    plain = LOADED.format(loader="'LoadImageFromFile'")
    masks = [
        np.asarray(mask_of(own_config('segmenter.py', rest), stock))
        for rest in (plain, NESTED.format(classes=NAMES))
    ]
    assert np.array_equal(*masks)


def test_meaning_of_ids(tmp_path, own_config, stock, toyland):
    """The checkpoint's classes, then the config's."""
    config, colors = str(toyland / 'segmenter.py'), label_colors(9)[::-1]
    weights = torch.load(stock)['state_dict']
    for meta, classes, palette in (
        (None, None, label_colors(9)),
        ({}, None, label_colors(9)),
        (dict(classes=(), palette=[]), None, label_colors(9)),
        (dict(classes=NAMES, palette=colors), NAMES, colors),
        (dict(classes=NAMES, palette=colors[1:]), NAMES, label_colors(9)),
    ):
        # As distributed trainings name weights.
        state = {f'module.{name}': value for name, value in weights.items()}
        path = tmp_path / 'meta.pth'
        torch.save(dict(state_dict=state, meta=dict(dataset_meta=meta)), path)
        segmenter = load_trained(config, str(path), CPU)
        assert segmenter.classes == (classes or OWN)
        assert segmenter.palette == palette
    nested = str(own_config('segmenter.py', NESTED.format(classes=NAMES)))
    segmenter = load_trained(nested, str(stock), CPU)
    assert segmenter.classes == NAMES
    assert not segmenter.model.training


def test_nothing_to_train_needs_no_checkpoint(toyland, picture, run_demo):
    out = run_demo(picture, '--config', toyland / 'zero_shot.py')
    assert Image.open(out / 'one.png').height >= 72


def test_configs_by_name_and_those_that_inherit(picture, run_demo, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text("_base_ = 'mmseg_weakclip::toyland/zero_shot.py'")
    for config in ('toyland/zero_shot', own):
        out = run_demo(picture, '--config', config)
        assert Image.open(out / 'one.png').height >= 72


@pytest.mark.parametrize(
    ('config', 'weights', 'message'),
    [
        ('weakclip.py', None, r'is trained \(.*give its checkpoint'),
        ('weakclip.py', 'no.pth', 'no.pth does not exist'),
        ('weakclip.py', 'text', 'text cannot be read: it seems to be a text'),
        ('weakclip.py', 'stock', 'is of another model than .*weakclip.py'),
        ('segmenter.py', 'fewer', r'lacks 1 tensors \(neck.*has 1 tensors '
         r'\(surplus\) more'),
        ('segmenter.py', 'wide', 'wide is of another model .*2 tensors differ '
         'in shape, the first: .*conv_seg.weight'),
        ('segmenter.py', 'other', r'12 classes.*num_classes=9'),
        ('no.py', 'stock', 'cannot find the config .*no.py'),
        ('seeds.py', None, 'PatchTextCAMHead needs image labels'),
        ('cam.py', 'cam', 'CAMHead needs image labels'),
        ('extract_backgrounds.py', None, 'it describes no model'),
        ('syntax', 'stock', r'own.py cannot be used \(SyntaxError\)'),
        ('unknown', 'stock', 'own.py cannot be used .*NoSuchHead'),
        ('no data', 'stock', 'it has no test_dataloader with a pipeline'),
        ('volumes', 'stock', 'only loads colour images'),
        ('grey', 'stock', 'only loads colour images'),
    ],
)  # fmt: skip
def test_refusals(
    refused_demo, toyland, own_config, stock, picture, tmp_path, config,
    weights, message,
):  # fmt: skip
    own = dict(
        syntax='x = = 1',
        unknown="model = dict(decode_head=dict(type='NoSuchHead'))",
        volumes=LOADED.format(loader="'LoadBiomedicalImageFromFile'"),
        grey=LOADED.format(
            loader="'LoadImageFromFile', color_type='grayscale'"
        ),
    )
    own['no data'] = 'test_dataloader = None'
    path = toyland / config
    if config in own:
        path = own_config('segmenter.py', own[config])
    state = torch.load(stock)['state_dict']
    if weights == 'stock':
        weights = stock
    elif weights == 'text':
        (tmp_path / weights).write_text('text')
    elif weights == 'wide':
        for name in ('weight', 'bias'):
            key = f'decode_head.conv_seg.{name}'
            state[key] = torch.cat([state[key], state[key]])
        torch.save(state, tmp_path / weights)
    elif weights == 'fewer':
        state['surplus'] = state.pop('neck.fpn_convs.0.conv.weight')
        torch.save(state, tmp_path / weights)
    elif weights == 'other':
        meta = dict(dataset_meta=dict(classes=tuple('abcdefghijkl')))
        torch.save(dict(state_dict=state, meta=meta), tmp_path / weights)
    elif weights == 'cam':
        model = init_model(str(path), device='cpu')
        torch.save(model.state_dict(), tmp_path / weights)
    given = () if weights is None else ('--checkpoint', tmp_path / weights)
    line = refused_demo(picture, '--config', path, *given)
    assert re.search(message, line), line


def test_flags_of_the_other_way(refused_demo, toyland, picture):
    config = toyland / 'zero_shot.py'
    options = ('--dense', 'sclip', '--short-side', 448)
    line = refused_demo(picture, '--config', config, *options)
    assert '--dense, --short-side: only with --classes' in line
