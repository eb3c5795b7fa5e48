"""Text towers and tokenizers of the package transformers, where it is."""

import json

import open_clip
import pytest
import torch
from open_clip import hf_model

from mmseg_weakclip.models.clip.text import PromptText, TemplateText
from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.tokenizer import Tokenizer
from mmseg_weakclip.models.clip.weights import load_clip

transformers = pytest.importorskip('transformers')
WORDS = ['<s>', '<pad>', '</s>', '<unk>', 'a', 'photo', 'of', 'boat', 'car']


@pytest.fixture
def small_roberta(monkeypatch):
    """A language model and a tokenizer that need no download."""
    config = transformers.RobertaConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=24,
        pad_token_id=1,
    )
    monkeypatch.setattr(
        hf_model.AutoConfig, 'from_pretrained', lambda *_, **__: config
    )
    from tokenizers import Tokenizer as Words
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    table = {word: index for index, word in enumerate(WORDS)}
    words = Words(WordLevel(table, unk_token='<unk>'))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single='<s> $A </s>', special_tokens=[('<s>', 0), ('</s>', 2)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token='<s>',
        eos_token='</s>',
        pad_token='<pad>',
        unk_token='<unk>',
    )
    monkeypatch.setattr(
        transformers.AutoTokenizer,
        'from_pretrained',
        lambda *_, **__: tokenizer,
    )


@torch.no_grad()
def test_text_embedding_is_that_of_open_clip(small_roberta, tiny):
    name = 'roberta-ViT-B-32'
    clip = tiny(name)
    tokenizer = Tokenizer(name)
    texts = ['a photo of a boat', 'car']
    assert tokenizer.start == (0,)
    assert tokenizer.pad == 1
    ids, ends = tokenizer(texts, tokenizer.room(clip.context_length))
    assert ids.tolist() == [[4, 5, 6, 4, 7, 2], [8, 2, 1, 1, 1, 1]]
    tower = TextTower(clip, pad=tokenizer.pad).eval()
    ours = tower.encode_ids(tokenizer.start, ids, ends)
    theirs = open_clip.get_tokenizer(name)(texts, context_length=20)
    assert torch.allclose(ours, clip.encode_text(theirs), atol=1e-5)


def test_banks(small_roberta, tiny, monkeypatch):
    from mmseg_weakclip.models.clip import text_bank

    name = 'roberta-ViT-B-32'
    clip = tiny(name)
    monkeypatch.setattr(text_bank, 'load_clip', lambda *_: clip)
    bank = TemplateText(name, None, names=['boat', 'car'], templates='a {}')
    assert bank().shape == (2, 64)
    with pytest.raises(ValueError, match='use TemplateText instead of Prompt'):
        PromptText(name, None, names=['boat', 'car'])()


def test_absent_configuration(monkeypatch):
    def fail(*_, **__):
        raise OSError('no\nroute to host')

    monkeypatch.setattr(hf_model.AutoConfig, 'from_pretrained', fail)
    message = r'^the text tower roberta-base .* The error was: no route to hos'
    with pytest.raises(RuntimeError, match=message):
        load_clip('roberta-ViT-B-32', None)


def test_code_of_a_repository_is_not_run(tmp_path):
    """Neither a tokenizer's nor a language model's."""
    mark = tmp_path / 'mark'
    code = f'open({str(mark)!r}, "w")\nclass Own: pass\n'
    (tmp_path / 'own.py').write_text(code)
    names = ['own.Own', 'own.Own']
    for file, entries in (
        ('tokenizer_config.json', dict(AutoTokenizer=names)),
        ('config.json', dict(AutoConfig='own.Own', AutoModel='own.Own')),
    ):
        (tmp_path / file).write_text(
            json.dumps(dict(model_type='own', auto_map=entries))
        )
    model = open_clip.get_model_config('roberta-ViT-B-32')
    model['text_cfg'].update(
        hf_tokenizer_name='some/one', hf_model_name=str(tmp_path)
    )
    for options in ({}, dict(trust_remote_code=True)):
        model['text_cfg']['tokenizer_kwargs'] = options
        (tmp_path / 'open_clip_config.json').write_text(
            json.dumps(dict(model_cfg=model))
        )
        for build in (Tokenizer, lambda name: load_clip(name, None)):
            with pytest.raises(ValueError, match='is Python code of its repo'):
                build(f'local-dir:{tmp_path}')
    assert not mark.exists()
