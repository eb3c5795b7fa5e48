"""Tokenizers: CLIP's byte pairs, and those of transformers."""

import importlib.util
import json
from types import SimpleNamespace

import open_clip
import pytest
import torch
from open_clip.tokenizer import HFTokenizer, get_clean_fn

from mmseg_weakclip.models.clip import tokenizer as tokenizer_module
from mmseg_weakclip.models.clip import weight_sources
from mmseg_weakclip.models.clip.text import TemplateText
from mmseg_weakclip.models.clip.tokenizer import Tokenizer

WORDS = ['<pad>', '</s>', '<unk>', '<s>', 'a', 'boat', 'photo', 'of']


class SmallTokenizer:
    """What open_clip calls of a tokenizer, with one id for each word."""

    pad_token_id, unk_token_id, sep_token_id = 0, 2, 1
    all_special_ids = (0, 1, 2, 3)

    def __init__(self, before=()):
        self.before = list(before)

    def __call__(self, texts):
        rows = [
            [
                *self.before,
                *(WORDS.index(w) if w in WORDS else 2 for w in text.split()),
                1,
            ]
            for text in texts
        ]
        return SimpleNamespace(input_ids=rows)

    def convert_ids_to_tokens(self, token):
        return WORDS[token]


def shell(own, **changes):
    """open_clip's tokenizer around another, without the package."""
    tokenizer = HFTokenizer.__new__(HFTokenizer)
    options = dict(
        tokenizer=own,
        tokenizer_mode='',
        context_length=12,
        clean_fn=get_clean_fn('canonicalize'),
        strip_sep_token=False,
    )
    vars(tokenizer).update(options, **changes)
    return tokenizer


@pytest.fixture
def use(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: object())

    def give(tokenizer):
        monkeypatch.setattr(
            tokenizer_module, 'HFTokenizer', lambda *_, **__: tokenizer
        )

    return give


def test_byte_pairs():
    tokenizer = Tokenizer('ViT-B-32')
    assert tokenizer.start == (49406,)
    assert tokenizer.room(77) == 76
    ids, ends = tokenizer(['a boat', 'boat'], room=5)
    expected = open_clip.get_tokenizer('ViT-B-32')(['a boat', 'boat'])
    assert torch.equal(ids, expected[:, 1:4])
    assert ends.tolist() == [2, 1]


@pytest.mark.parametrize('before', [(), (3,)])
def test_ids_around_a_text_are_found_out(use, before):
    use(shell(SmallTokenizer(before)))
    tokenizer = Tokenizer('ViT-B-16-SigLIP')
    assert tokenizer.start == before
    assert tokenizer.room(12) == 12 - len(before)
    ids, ends = tokenizer(['A photo of, a boat!', 'boat'], room=8)
    assert ids.tolist() == [[4, 6, 7, 4, 5, 1], [5, 1, 0, 0, 0, 0]]
    assert ends.tolist() == [5, 1]


def test_end_token_of_clipa_is_a_zero(use):
    use(shell(SmallTokenizer((3,)), strip_sep_token=True))
    ids, ends = Tokenizer('ViT-L-14-CLIPA')(['a boat'], room=8)
    assert ids.tolist() == [[4, 5, 0]]
    assert ends.tolist() == [2]


def test_special_and_unknown_words(use):
    use(shell(SmallTokenizer(), clean_fn=get_clean_fn('whitespace')))
    tokenizer = Tokenizer('ViT-H-14-worldwide')
    with pytest.raises(ValueError, match="'a <s> boat' contains <s>"):
        tokenizer(['a <s> boat'], room=8)
    assert tokenizer(['a gondola'], room=8)[0].tolist() == [[4, 2, 1]]
    ids, _, cut = tokenizer.shorten(['a <s> photo of a boat'], room=3)
    assert ids.tolist() == [[4, 6, 1]]
    assert cut == ['a <s> photo of a boat']


def test_tokenizers_that_cannot_be_used(use):
    use(shell(SmallTokenizer(), tokenizer_mode='clips'))
    with pytest.raises(ValueError, match="tokenizer_mode='clips'"):
        Tokenizer('ViT-B-16-SigLIP')
    endless = SmallTokenizer()
    endless.__class__ = type(
        'Endless',
        (SmallTokenizer,),
        {
            '__call__': lambda self, texts: SimpleNamespace(input_ids=[[]]),
        },
    )
    use(shell(endless))
    with pytest.raises(ValueError, match='SigLIP marks no end of a text'):
        Tokenizer('ViT-B-16-SigLIP')


class LanguageBehind(SmallTokenizer):
    """Puts the language behind the end token, as some of NLLB."""

    def __call__(self, texts):
        rows = super().__call__(texts).input_ids
        return SimpleNamespace(input_ids=[[*row, 3] for row in rows])

    def convert_ids_to_tokens(self, token):
        return [WORDS[t] for t in token] if isinstance(token, list) else token


def test_several_tokens_behind_a_text(use):
    """They must not be taken for tokens before it, which hides a word."""
    use(shell(LanguageBehind()))
    message = r"puts \['</s>', '<s>'\] behind each"
    with pytest.raises(ValueError, match=message):
        Tokenizer('nllb-clip-base')


@pytest.fixture
def record(use, monkeypatch):
    """Note what tokenizers are asked for."""
    calls = []

    def build(name, **options):
        calls.append((name, options))
        return shell(SmallTokenizer())

    use(None)
    monkeypatch.setattr(tokenizer_module, 'HFTokenizer', build)
    return calls


def write_config(folder, **options):
    config = open_clip.get_model_config('ViT-B-16-SigLIP2')
    config['text_cfg'].setdefault('tokenizer_kwargs', {}).update(options)
    (folder / 'open_clip_config.json').write_text(
        json.dumps(dict(model_cfg=config))
    )


def test_place_of_a_tokenizer(record, monkeypatch, tmp_path):
    """That of a repository is not beside its configuration."""
    write_config(tmp_path)
    monkeypatch.setattr(
        weight_sources, '_from_hub', lambda _, names: tmp_path / names[0]
    )
    Tokenizer('hf-hub:some/clip')
    Tokenizer('ViT-B-16-SigLIP2')
    Tokenizer(f'local-dir:{tmp_path}')
    names = [name for name, _ in record]
    assert names == ['timm/ViT-B-16-SigLIP2'] * 2 + [str(tmp_path)]
    for _, options in record:
        assert options == dict(
            context_length=64,
            tokenizer_mode=None,
            clean='canonicalize',
            trust_remote_code=False,
        )


def test_code_of_a_repository_is_not_run(record, monkeypatch, tmp_path):
    write_config(tmp_path, trust_remote_code=True)
    model = f'local-dir:{tmp_path}'
    message = r'the tokenizer timm/ViT-B-16-SigLIP2 is Python code of its rep'
    with pytest.raises(ValueError, match=message):
        Tokenizer(model)
    assert not record
    write_config(tmp_path)

    def refuse(*_, **__):
        raise ValueError('set the option `trust_remote_code=True`')

    monkeypatch.setattr(tokenizer_module, 'HFTokenizer', refuse)
    with pytest.raises(ValueError, match=message):
        Tokenizer(model)


@pytest.mark.parametrize(
    ('model', 'tokenizer'),
    [
        ('ViT-B-16-SigLIP2', 'timm/ViT-B-16-SigLIP2'),
        ('ViT-H-14-worldwide', 'facebook/xlm-v-base'),
        ('ViT-L-14-CLIPA', 'bert-base-uncased'),
    ],
)
def test_absent_package(monkeypatch, model, tokenizer):
    """Before any weights are loaded."""
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
    message = (
        f'^{model}: the tokenizer {tokenizer} needs the package transformers, '
        r"which is not installed: pip install 'mmseg_weakclip\[hf\]'$"
    )
    with pytest.raises(ValueError, match=message):
        TemplateText(model, 'webli')


def test_failing_download(use, monkeypatch):
    def fail(*_, **__):
        raise OSError('no\nroute to host')

    use(None)
    monkeypatch.setattr(tokenizer_module, 'HFTokenizer', fail)
    message = (
        r'^the tokenizer timm/ViT-B-16-SigLIP2 of ViT-B-16-SigLIP2 cannot be '
        r'loaded\. .*local-dir:FOLDER\. The error was: no route to host$'
    )
    with pytest.raises(RuntimeError, match=message):
        Tokenizer('ViT-B-16-SigLIP2')
