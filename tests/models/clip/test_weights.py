import re

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from mmseg_weakclip.models.clip import weight_sources
from mmseg_weakclip.models.clip.weights import (
    TOKEN_ROWS,
    TOKEN_TABLE,
    expand_token_table,
    load_clip,
    read_state_dict,
)


@pytest.fixture(scope='module')
def state():
    torch.manual_seed(0)
    return load_clip('toyclip', None).state_dict()


@pytest.fixture
def write(write_archive):
    """Write a state dict as one of the kinds of files."""

    def write_file(state, path, kind):
        if kind == 'safetensors':
            path = path.with_suffix('.safetensors')
            save_file(state, path)
        elif kind == 'torchscript':
            numbers = dict(input_resolution=96, context_length=40)
            write_archive(path, state, **numbers, vocab_size=49408)
        elif kind == 'nested':
            nested = {f'module.{name}': value for name, value in state.items()}
            torch.save(dict(epoch=3, state_dict=nested), path)
        else:
            torch.save(state, path)
        return path

    return write_file


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    'kind', ['plain', 'nested', 'safetensors', 'torchscript']
)
def test_reads_every_kind_of_file(write, state, tmp_path, kind):
    path = write(state, tmp_path / 'weights.pt', kind)
    clip = load_clip('toyclip', str(path))
    loaded = clip.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_runs_no_code_from_a_file(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ('raise SystemExit',))

    torch.save(dict(state_dict=Evil()), tmp_path / 'evil.pt')
    with pytest.raises(
        ValueError, match=r'evil\.pt .*only code could restore'
    ):
        read_state_dict(tmp_path / 'evil.pt')


def test_half_precision_files_give_float_models(write, state, tmp_path):
    half = {name: value.half() for name, value in state.items()}
    path = write(half, tmp_path / 'half.pt', 'plain')
    clip = load_clip('toyclip', str(path))
    assert all(p.dtype == torch.float32 for p in clip.parameters())


def test_wrong_weights_list_the_keys(write, state, tmp_path):
    wrong = dict(state)
    wrong['surplus'] = wrong.pop('visual.proj')
    wrong['ln_final.bias'] = torch.zeros(7)
    path = write(wrong, tmp_path / 'wrong.pt', 'plain')
    with pytest.raises(ValueError) as error:
        load_clip('toyclip', str(path))
    message = str(error.value)
    assert str(path) in message
    assert 'missing ["visual.proj"]' in message
    assert 'unexpected ["surplus"]' in message
    assert 'ln_final.bias (7,) instead of (96,)' in message


def test_unknown_model_suggests_names():
    with pytest.raises(ValueError, match=r"no model 'ViT-B16'.*'ViT-B-16'"):
        load_clip('ViT-B16', None)


@pytest.mark.parametrize('model', ['RN50', 'convnext_base'])
def test_models_without_attention_blocks_are_refused(model):
    message = f'^{model} cannot be used: .* no attention blocks; pick a ViT'
    with pytest.raises(ValueError, match=message):
        load_clip(model, None)


def test_unknown_tag_lists_tags():
    with pytest.raises(ValueError, match=r"'nowhere'.*its tags.*'toyland'"):
        load_clip('toyclip', 'nowhere')


def test_activation_must_fit_the_tag():
    message = r"'openai' .*QuickGELU.*use model='ViT-B-32-quickgelu'"
    with pytest.raises(ValueError, match=message):
        load_clip('ViT-B-32', 'openai')


def test_activation_must_fit_other_weights(monkeypatch):
    tag = dict(quick_gelu=False, url='http://nowhere')
    monkeypatch.setattr(weight_sources, 'get_pretrained_cfg', lambda *_: tag)
    message = r"trained with GELU, .*QuickGELU: use model='ViT-B-32'"
    with pytest.raises(ValueError, match=message):
        load_clip('ViT-B-32-quickgelu', 'some')


def test_activation_that_no_form_of_a_model_has(monkeypatch):
    """open_clip has no ViT-B-32-256-quickgelu to advise."""
    tag = dict(quick_gelu=True, url='http://nowhere')
    monkeypatch.setattr(weight_sources, 'get_pretrained_cfg', lambda *_: tag)
    with pytest.raises(ValueError, match='model has no other form$'):
        load_clip('ViT-B-32-256', 'some')


def test_activation_of_a_model_with_one_form(monkeypatch, state, tmp_path):
    """toyclip runs QuickGELU under a plain name, as roberta-ViT-B-32 does."""
    torch.save(state, tmp_path / 'weights.pt')
    monkeypatch.setattr(
        weight_sources, 'get_pretrained_cfg', lambda *_: dict(url='http://no')
    )
    monkeypatch.setattr(
        weight_sources, '_tagged_file', lambda *_: tmp_path / 'weights.pt'
    )
    assert load_clip('toyclip', 'some').state_dict().keys() == state.keys()


@pytest.mark.parametrize(
    ('model', 'tag', 'source'),
    [
        (
            'ViT-B-32-quickgelu',
            'openai',
            r'https://openaipublic\S+/ViT-B-32\.pt',
        ),
        (
            'ViT-B-16',
            'laion2b_s34b_b88k',
            r'open_clip_model\.safetensors or open_clip_pytorch_model\.bin '
            r'from https://huggingface\.co/laion/CLIP-ViT-B-16-laion2B-s34B-'
            'b88K',
        ),
    ],
)
def test_failing_download_says_what_to_do(monkeypatch, model, tag, source):
    def fail(*args, **kwargs):
        raise OSError('no\nroute to host')

    monkeypatch.setattr(weight_sources, 'require_host', lambda _: None)
    monkeypatch.setattr(open_clip, 'download_pretrained', fail)
    message = (
        f'^the weights {tag!r} of {model} .*fetch {source} elsewhere, .* its '
        'path as `pretrained`.*no route to host$'
    )
    with pytest.raises(RuntimeError, match=message):
        load_clip(model, tag)


def test_no_network_is_said_before_the_hub_is_asked(monkeypatch):
    asked = []

    def fail(url):
        asked.append(url)
        raise ConnectionError(f'{url} cannot be reached')

    monkeypatch.setattr(weight_sources, 'require_host', fail)
    monkeypatch.setattr(open_clip, 'download_pretrained', None)
    with pytest.raises(RuntimeError, match=r'fetch .* cannot be reached$'):
        load_clip('ViT-B-32', 'laion2b_s34b_b79k')
    assert asked == ['https://huggingface.co']


def test_a_cached_file_is_taken_unasked(monkeypatch, tmp_path, state):
    path = tmp_path / 'open_clip_model.safetensors'
    save_file(state, path)

    def find(repository, name):
        assert repository == 'some/model'
        return str(path) if name == path.name else None

    monkeypatch.setattr(weight_sources, 'try_to_load_from_cache', find)
    monkeypatch.setattr(weight_sources, 'require_host', None)
    monkeypatch.setattr(
        weight_sources,
        'get_pretrained_cfg',
        lambda *_: dict(hf_hub='some/model/', quick_gelu=True),
    )
    loaded = load_clip('toyclip', 'a tag').state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_sparse_token_table():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    state = {TOKEN_TABLE: rows, TOKEN_ROWS: torch.tensor([1, 4, 5])}
    table = expand_token_table(state)[TOKEN_TABLE]
    expected = torch.zeros(5, 2)
    expected[1], expected[4] = rows
    assert torch.equal(table, expected)
    assert TOKEN_ROWS in state  # the caller's is left alone


def test_messages_name_no_surplus_spaces():
    """Messages are put together from pieces; look at one as a user does."""
    with pytest.raises(ValueError) as error:
        load_clip('RN50', None)
    assert not re.search(r'  |\( | \)', str(error.value))
