"""A released file made from a small model, and brought back."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from weakclip_names import (
    Dimensions,
    convert_weights,
    our_name,
    published_shapes,
)

from mmseg_weakclip.engine.hooks import name_classes
from mmseg_weakclip.models.clip import text_bank, vit
from mmseg_weakclip.models.clip.weights import load_clip

CLASSES = tuple(f'thing{index}' for index in range(21))
SMALL = dict(
    width=32, positions=10, embed=24, text_width=16, text_layers=2,
    contexts=8, attention=8, pyramid=8,
)  # fmt: skip
VOC = 'weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512_released.py'
# How the published code calls what is called so here, the longest first.
PUBLISHED = {
    'backbone.adapter.levels.0.': 'backbone.fpn1.',
    'backbone.adapter.levels.1.': 'backbone.fpn2.',
    'backbone.adapter.levels.2.': 'backbone.fpn3.',
    'backbone.adapter.levels.3.': 'backbone.fpn4.',
    'backbone.tower.module.': 'backbone.',
    'neck.text.tower.module.': 'text_encoder.',
    'neck.text.contexts': 'contexts',
    'neck.text_scale': 'gamma',
    'neck.visual_scale': 'beta',
    'neck.co_attention.': 'context_decoder.',
    'neck.neck.': 'neck.',
    'decode_head.': 'decode_head.',
}


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('model_converters/weakclip.py')


def fit_positions(model: nn.Module, rows: int) -> None:
    """Hold a table of another side, where the config does not say so."""
    tower = model.backbone.tower.module
    width = tower.positional_embedding.shape[1]
    if len(tower.positional_embedding) != rows:
        tower.positional_embedding = nn.Parameter(torch.randn(rows, width))


@pytest.fixture(scope='module')
def build_small(repo, tmp_path_factory):
    """Build the released segmentor over a CLIP of small widths."""
    folder = tmp_path_factory.mktemp('clip')
    clip = dict(
        embed_dim=24,
        quick_gelu=True,
        vision_cfg=dict(
            image_size=32, layers=12, width=32, head_width=8, patch_size=16
        ),
        text_cfg=dict(width=16, heads=2, layers=2),
    )
    config = json.dumps(dict(model_cfg=clip))
    (folder / 'open_clip_config.json').write_text(config)

    def load(model, pretrained):
        return load_clip(f'local-dir:{folder}', str(folder / 'weights.pt'))

    def build(seed):
        init_default_scope('mmseg')
        torch.manual_seed(seed)
        cfg = Config.fromfile(repo / 'configs/weakclip' / VOC).model
        cfg.pop('auxiliary_head', None)
        cfg.backbone.adapter.update(channels=32, norm_cfg=dict(type='BN'))
        cfg.backbone.pop('position_grid', None)
        cfg.neck.update(in_channels=[32] * 4, embed_dim=24)
        cfg.neck.co_attention.update(width=8, heads=2)
        cfg.neck.neck.out_channels = 8
        cfg.decode_head.update(
            channels=8, in_channels=[8] * 4, norm_cfg=dict(type='BN')
        )
        # Their tokenizers are CLIP's, whichever the model.
        with pytest.MonkeyPatch.context() as patch:
            for module in (vit, text_bank):
                patch.setattr(module, 'load_clip', load)
            model = MODELS.build(cfg)
        fit_positions(model, 10)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1)
        name_classes(model, CLASSES)
        return model.eval()

    import open_clip

    state = open_clip.create_model(f'local-dir:{folder}').state_dict()
    torch.save(state, folder / 'weights.pt')
    return build


@pytest.fixture(scope='module')
def model(build_small):
    return build_small(1)


@pytest.fixture(scope='module')
def released(model):
    """The model's tensors as the published code names them."""
    state = OrderedDict()
    for name, value in model.state_dict().items():
        if name.endswith('name_bytes'):
            continue
        ours = next(ours for ours in PUBLISHED if name.startswith(ours))
        theirs = PUBLISHED[ours] + name.removeprefix(ours)
        if theirs == 'contexts':
            value = value[None]
        if theirs == 'text_encoder.positional_embedding':
            value = value[:13].clone()
        state[theirs] = value
    return state


@pytest.fixture
def source(released, tmp_path):
    """The file, as mmcv writes it."""
    meta = dict(
        CLASSES=CLASSES,
        PALETTE=[[1, 2, 3]] * 21,
        mmseg_version='0.19.0',
        iter=8000,
        best_mIoU=np.float64(0.7403),
        seed=np.int64(504),
    )
    state = {f'module.{name}': value for name, value in released.items()}
    optimizer = dict(state={}, param_groups=[dict(lr=1e-6, params=[0, 1])])
    path = tmp_path / 'train_74p03_iter_8000.pth'
    torch.save(dict(meta=meta, state_dict=state, optimizer=optimizer), path)
    return path


@pytest.fixture
def small(tool, monkeypatch):
    monkeypatch.setattr(tool, 'Dimensions', lambda k: Dimensions(k, **SMALL))


def test_everything_comes_back(
    tool, small, build_small, model, source, tmp_path, capfd
):
    out = tmp_path / 'made/weakclip.pth'
    tool.main([str(source), str(out)])
    text = ''.join(capfd.readouterr())
    assert 'of a model with 21 classes (VOC)' in text
    checkpoint = torch.load(out, weights_only=True)
    assert checkpoint.keys() == {'meta', 'state_dict'}
    assert checkpoint['meta'] == dict(
        converted_from=source.name,
        dataset_meta=dict(classes=list(CLASSES), palette=[[1, 2, 3]] * 21),
    )
    other = build_small(2)
    keys = other.load_state_dict(checkpoint['state_dict'], strict=False)
    assert keys.missing_keys == keys.unexpected_keys == []
    image = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        expected = model.decode_head(model.extract_feat(image))
        found = other.decode_head(other.extract_feat(image))
    assert torch.equal(found, expected)
    assert found.std() > 0


def test_positions_of_texts(tool, small, source, released, tmp_path):
    own = torch.randn(77, 16)
    torch.save({'positional_embedding': own}, tmp_path / 'clip.pt')
    name = 'neck.text.tower.module.positional_embedding'
    given = released['text_encoder.positional_embedding']
    for options, rest in (
        ([], torch.zeros(64, 16)),
        (['--clip', str(tmp_path / 'clip.pt')], own[13:]),
    ):
        tool.main([str(source), str(tmp_path / 'out.pth'), *options])
        state = torch.load(tmp_path / 'out.pth', weights_only=True)
        rows = state['state_dict'][name]
        assert torch.equal(rows, torch.cat([given, rest]))


def test_what_is_wrong_is_named(tool, small, released, tmp_path, capsys):
    changed = dict(released)
    del changed['gamma']
    changed['neck.extra.weight'] = torch.zeros(1)
    changed['backbone.positional_embedding'] = torch.zeros(5, 32)
    source, out = tmp_path / 'some.pth', tmp_path / 'out.pth'
    torch.save(dict(state_dict=changed), source)
    with pytest.raises(SystemExit):
        tool.main([str(source), str(out)])
    line = capsys.readouterr().err.splitlines()[-1]
    _, _, problems = line.partition(f'{source}: ')
    assert problems.split('; ') == [
        "'backbone.positional_embedding' is (5, 32) instead of (10, 32)",
        "'gamma' is missing",
        "nothing is known of 'neck.extra.weight'",
    ]
    assert not out.exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(state_dict={'a': torch.zeros(2)}), 'not weights of WeakCLIP'),
        (dict(state_dict={}), 'a dict without tensors'),
    ],
)
def test_files_of_something_else(tool, tmp_path, capsys, content, message):
    source = tmp_path / 'other.pth'
    torch.save(content, source)
    for arguments, said in (
        ([str(source)], message),
        ([str(tmp_path / 'gone.pth')], 'No such file'),
    ):
        with pytest.raises(SystemExit):
            tool.main([*arguments, str(tmp_path / 'out.pth')])
        assert said in capsys.readouterr().err


def test_a_clip_that_is_none(tool, small, source, released, tmp_path, capsys):
    torch.save(dict(released), tmp_path / 'clip.pt')
    torch.save({'positional_embedding': torch.ones(5, 16)}, tmp_path / 'x.pt')
    for name, message in (
        ('clip.pt', 'it is not a CLIP'),
        ('x.pt', r'the positions of CLIP are (5, 16) instead of (77, 16)'),
    ):
        clip = ['--clip', str(tmp_path / name)]
        with pytest.raises(SystemExit):
            tool.main([str(source), str(tmp_path / 'out.pth'), *clip])
        assert message in capsys.readouterr().err


@pytest.fixture(scope='module')
def real_clip():
    return load_clip('ViT-B-16-quickgelu', None)


@pytest.mark.parametrize('num_classes', [21, 91])
def test_real_shapes_fit_the_released_config(
    repo, real_clip, monkeypatch, num_classes
):
    folder = repo / 'configs/weakclip'
    coco = [*folder.glob('*coco14*_released.py'), *folder.glob('*_91way.py')]
    config = folder / VOC if num_classes == 21 else coco[0]
    for module in (vit, text_bank):
        monkeypatch.setattr(module, 'load_clip', lambda *_: real_clip)
    model = MODELS.build(Config.fromfile(config).model)
    fit_positions(model, 1025)
    size = Dimensions(num_classes)
    # Views of one number take no memory.
    state = {
        name: torch.zeros(()).expand(shape)
        for name, shape in published_shapes(size).items()
    }
    assert len(state) == 521
    weights = convert_weights(state, size)
    own = model.state_dict()
    for name, value in weights.items():
        if 'tower.module' not in name:
            assert value.shape == own[name].shape, name
    # Strict in shapes; frozen towers take their weights, too.
    model.auxiliary_head = None
    keys = model.load_state_dict(weights, strict=False)
    assert keys.missing_keys == keys.unexpected_keys == []


def test_names():
    assert our_name('neck.fpn_convs.0.conv.bias') == (
        'neck.neck.fpn_convs.0.conv.bias'
    )
    assert (
        our_name('backbone.fpn1.4.bias') == 'backbone.adapter.levels.0.4.bias'
    )
    assert our_name('contexts') == 'neck.text.contexts'
    assert our_name('gamma2') is None
    assert our_name('other') is None
