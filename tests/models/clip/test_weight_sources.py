"""Names of models and weights as open_clip takes them."""

import importlib.util
import json
import logging
import socket

import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from mmseg_weakclip.models.clip import weight_sources
from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.tokenizer import Tokenizer
from mmseg_weakclip.models.clip.weights import load_clip

CONFIG = 'open_clip_config.json'
SMALL = dict(
    embed_dim=8,
    vision_cfg=dict(
        image_size=8, layers=1, width=16, head_width=8, patch_size=4
    ),
    text_cfg=dict(context_length=6, width=16, heads=2, layers=1),
)


def write_config(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(model_cfg={**SMALL, **changes})
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.fixture(scope='module')
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp('config')
    write_config(folder)
    torch.manual_seed(1)
    return open_clip.create_model(f'local-dir:{folder}').state_dict()


@pytest.fixture
def folder(state, tmp_path):
    write_config(tmp_path / 'model')
    save_file(state, tmp_path / 'model/open_clip_model.safetensors')
    return tmp_path / 'model'


@pytest.fixture
def logged(monkeypatch):
    """What is logged by the module that loads, and by that which finds."""
    lines = []
    for module in ('weights', 'weight_sources'):
        monkeypatch.setattr(
            f'mmseg_weakclip.models.clip.{module}.print_log',
            lambda text, *_, **__: lines.append(text),
        )
    return lines


@pytest.fixture
def no_network(monkeypatch):
    asked = []

    def refuse(url, seconds=0):
        asked.append(url)
        raise ConnectionError('the hub cannot be reached')

    monkeypatch.setattr(weight_sources, 'require_host', refuse)
    monkeypatch.setattr(
        socket, 'create_connection', lambda *_, **__: pytest.fail('asked')
    )
    return asked


def equal(clip, state):
    found = clip.state_dict()
    return found.keys() == state.keys() and all(
        torch.equal(found[name], state[name]) for name in state
    )


@pytest.mark.parametrize('pretrained', [None, 'openai'])
def test_local_dir(folder, state, pretrained, logged):
    assert equal(load_clip(f'local-dir:{folder}', pretrained), state)
    assert ("pretrained='openai' is ignored" in ''.join(logged)) is (
        pretrained is not None
    )


def test_local_dir_with_other_weights(folder, state, tmp_path):
    other = {name: value + 1 for name, value in state.items()}
    torch.save(other, tmp_path / 'other.pt')
    clip = load_clip(f'local-dir:{folder}', str(tmp_path / 'other.pt'))
    assert equal(clip, other)


def test_pickles_are_second_choice(folder, state, tmp_path):
    torch.save({}, folder / 'open_clip_pytorch_model.bin')
    assert equal(load_clip(f'local-dir:{folder}', None), state)
    (folder / 'open_clip_model.safetensors').unlink()
    torch.save(state, folder / 'open_clip_pytorch_model.bin')
    assert equal(load_clip(f'local-dir:{folder}', None), state)
    (folder / 'open_clip_pytorch_model.bin').unlink()
    message = r"has no open_clip_model\.safetensors or .*\.bin; it holds \['o"
    with pytest.raises(ValueError, match=message):
        load_clip(f'local-dir:{folder}', None)


def test_a_folder_as_weights(tmp_path):
    torch.manual_seed(2)
    clip = load_clip('toyclip', None)
    (tmp_path / 'w').mkdir()
    save_file(clip.state_dict(), tmp_path / 'w/open_clip_model.safetensors')
    assert equal(load_clip('toyclip', str(tmp_path / 'w')), clip.state_dict())
    # Its configuration says how it was trained.
    write_config(tmp_path / 'w', quick_gelu=True)
    toyclip_is_quick = open_clip.get_model_config('toyclip').get('quick_gelu')
    write_config(tmp_path / 'w', quick_gelu=not toyclip_is_quick)
    with pytest.raises(ValueError, match='were trained with .*GELU'):
        load_clip('toyclip', str(tmp_path / 'w'))


def test_the_activation_of_a_folder(folder, state, tmp_path):
    write_config(tmp_path / 'other', quick_gelu=True)
    save_file(state, tmp_path / 'other/model.safetensors')
    message = f'GELU: set quick_gelu=True in {folder / CONFIG}'
    with pytest.raises(ValueError, match=message):
        load_clip(f'local-dir:{folder}', str(tmp_path / 'other'))


def test_slashes():
    assert weight_sources.find_model('ViT-B/16').name == 'ViT-B-16'


def test_folders_that_are_none(folder, tmp_path):
    with pytest.raises(ValueError, match=f'the folder has no {CONFIG}'):
        load_clip(f'local-dir:{tmp_path}', None)
    with pytest.raises(ValueError, match=f'write local-dir:{folder}'):
        load_clip(str(folder), None)
    for text in ('{', '[]', '{"model_cfg": {}}', '{"model_cfg": 3}'):
        (folder / CONFIG).write_text(text)
        with pytest.raises(ValueError, match=rf"{CONFIG} is not a model's"):
            load_clip(f'local-dir:{folder}', None)


@pytest.mark.parametrize(
    'changes',
    [
        dict(vision_cfg=dict(layers=10**9, width=768)),
        dict(text_cfg=dict(vocab_size=10**15)),
        dict(vision_cfg=dict(image_size='large')),
        dict(vision_cfg=dict(image_size=10**9)),
        dict(vision_cfg=dict(layers=float('nan'))),
    ],
)
def test_configurations_of_giants(folder, changes):
    write_config(folder, **changes)
    with pytest.raises(ValueError, match=f'{CONFIG} describes a model that'):
        load_clip(f'local-dir:{folder}', None)


def test_configurations_that_open_clip_refuses(folder):
    write_config(folder, surprise=1)
    message = (
        f'{CONFIG} describes no model that open_clip can build .*surprise'
    )
    with pytest.raises(ValueError, match=message):
        load_clip(f'local-dir:{folder}', None)


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        ('roberta-ViT-B-32', r'text tower roberta-base needs .*transformers'),
        ('MobileCLIP2-S0', "cannot be used: .*timm's fastvit_mci0, whose"),
        ('coca_ViT-B-32', 'cannot be used: it is a CoCa'),
    ],
)
def test_parts_of_other_libraries(model, message, no_network, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
    monkeypatch.setattr(
        open_clip, 'create_model', lambda *_, **__: pytest.fail('built')
    )
    tags = open_clip.list_pretrained_tags_by_model(model)
    with pytest.raises(ValueError, match=message):
        load_clip(model, tags[0] if tags else None)
    assert no_network == []


def test_parts_of_other_libraries_in_a_folder(folder):
    vision = dict(timm_model_name='hf_hub:someone/else')
    write_config(folder, vision_cfg=vision)
    with pytest.raises(
        ValueError, match="'hf_hub:someone/else' is no name of"
    ):
        load_clip(f'local-dir:{folder}', None)


@pytest.fixture
def hub(tmp_path, monkeypatch, state):
    """A cache of the hub with a small model."""
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    repository = tmp_path / 'hub/models--org--small'
    (repository / 'refs').mkdir(parents=True)
    (repository / 'refs/main').write_text('abc')
    write_config(repository / 'snapshots/abc')
    return repository / 'snapshots/abc'


def test_repository_in_the_cache(hub, state, no_network):
    torch.save(state, hub / 'open_clip_pytorch_model.bin')
    assert equal(load_clip('hf-hub:org/small', 'openai'), state)
    assert Tokenizer('hf-hub:org/small').start == (49406,)
    assert no_network == []


def test_repository_without_a_network(hub, no_network):
    message = (
        'open_clip_model.safetensors or open_clip_pytorch_model.bin of '
        'org/small could not be downloaded.*local-dir:FOLDER.* cannot be '
    )
    with pytest.raises(RuntimeError, match=message) as error:
        load_clip('hf-hub:org/small', None)
    assert '\n' not in str(error.value)
    with pytest.raises(RuntimeError, match=f'{CONFIG} of org/large could not'):
        load_clip('hf-hub:org/large', None)
    assert no_network == [constants.ENDPOINT] * 2
    with pytest.raises(ValueError, match='write hf-hub:ORGANISATION/NAME'):
        load_clip('hf-hub:small', None)


def test_repository_from_the_hub(hub, state, folder, monkeypatch):
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        if name.endswith('.safetensors'):
            raise weight_sources.EntryNotFoundError('none')
        torch.save(state, hub / name)
        return str(hub / name)

    monkeypatch.setattr(weight_sources, 'require_host', lambda _: None)
    monkeypatch.setattr(weight_sources, 'hf_hub_download', download)
    assert equal(load_clip('hf-hub:org/small', None), state)
    assert [name for _, name in asked] == [
        'open_clip_model.safetensors',
        'open_clip_pytorch_model.bin',
    ]


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        ('LocalEntryNotFoundError', 'could not be downloaded.*: no answer'),
        ('EntryNotFoundError', 'the repository org/small has no open_clip'),
    ],
)
def test_a_hub_that_has_nothing(hub, monkeypatch, error, message):
    def fail(repository, name):
        raise getattr(weight_sources, error)('no answer')

    monkeypatch.setattr(weight_sources, 'require_host', lambda _: None)
    monkeypatch.setattr(weight_sources, 'hf_hub_download', fail)
    with pytest.raises(RuntimeError, match=message):
        load_clip('hf-hub:org/small', None)


def save_changed(folder, state, **changes):
    changed = {**state, **changes}
    changed = {n: v for n, v in changed.items() if v is not None}
    save_file(changed, folder / 'open_clip_model.safetensors')


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_another_resolution(folder, state, logged, dtype):
    """Positions are resized as open_clip does, and the log says so."""
    changes = {
        'visual.positional_embedding': torch.randn(1 + 9, 16).to(dtype),
        'positional_embedding': torch.randn(4, 16).to(dtype),
    }
    save_changed(folder, state, **changes)
    clip = load_clip(f'local-dir:{folder}', None)
    if dtype == torch.float32:
        expected = open_clip.create_model(f'local-dir:{folder}')
        assert equal(clip, expected.state_dict())
    text = '\n'.join(logged)
    assert 'visual.positional_embedding is resized from 10 to 5 rows' in text
    assert ' positional_embedding is resized from 4 to 6 rows' in text


@pytest.mark.parametrize('shape', [(4, 16), (5, 15), (1, 16), (0, 16), (16,)])
def test_positions_that_are_none(folder, state, shape):
    save_changed(
        folder, state, **{'visual.positional_embedding': torch.zeros(shape)}
    )
    with pytest.raises(ValueError, match=r'wrong shape .*\(5, 16\)'):
        load_clip(f'local-dir:{folder}', None)


def test_shapes_of_the_scale(folder, state):
    save_changed(folder, state, logit_scale=torch.tensor([2.0]))
    clip = load_clip(f'local-dir:{folder}', None)
    assert clip.logit_scale.shape == ()
    assert TextTower(clip).logit_scale == pytest.approx(7.389, abs=1e-3)


def test_bias_of_the_logits(folder, state, logged):
    save_changed(folder, state, logit_bias=torch.tensor(-10.0))
    assert equal(load_clip(f'local-dir:{folder}', None), state)
    assert 'logit_bias is left out' in ''.join(logged)
    write_config(folder, init_logit_bias=-10)
    clip = load_clip(f'local-dir:{folder}', None)
    assert clip.logit_bias == -10
    save_changed(folder, state)
    assert load_clip(f'local-dir:{folder}', None).logit_bias == 0


def test_buffers_that_are_computed(folder, state):
    save_changed(folder, state, attn_mask=torch.zeros(6, 6))
    assert equal(load_clip(f'local-dir:{folder}', None), state)


def test_integers_are_no_weights(folder, state):
    save_changed(
        folder, state, **{'visual.proj': torch.ones(16, 8, dtype=torch.int32)}
    )
    with pytest.raises(ValueError, match="'visual.proj' holds torch.int32"):
        load_clip(f'local-dir:{folder}', None)


@pytest.mark.parametrize('level', [logging.NOTSET, logging.CRITICAL])
def test_the_level_of_logging_is_restored(folder, level):
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        load_clip(f'local-dir:{folder}', None)
        assert logging.root.manager.disable == level
        write_config(folder, surprise=1)
        with pytest.raises(ValueError):
            load_clip(f'local-dir:{folder}', None)
        assert logging.root.manager.disable == level
    finally:
        logging.disable(before)


@pytest.mark.parametrize(
    'name', ['a<end_of_text>b', '<START_OF_TEXT>', 'x &lt;end_of_text&gt;']
)
def test_special_tokens_in_names(name):
    tokenizer = Tokenizer('toyclip')
    message = f'{name}.*contains <.*_of_text>.*remove it from the class name'
    with pytest.raises(ValueError, match=message):
        tokenizer(['boat', name], room=20)
    # Captions come by the million: nobody can correct them.
    ids, ends, cut = tokenizer.shorten([f'boat {name}'], room=20)
    inside = ids[0, : ends[0]]
    assert cut == []
    assert not set(inside.tolist()) & {49406, 49407}
