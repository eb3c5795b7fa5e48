import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.clip.text import PromptText, TemplateText
from mmseg_weakclip.models.clip.weights import load_clip

MODEL = 'toyclip'
NAMES = ('boat', 'nose cone', 'bird')


@pytest.fixture
def clip_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / 'clip.pt'
    torch.save(load_clip(MODEL, None).state_dict(), path)
    return str(path)


def naive_template(path, names, templates):
    """CLIP's zero-shot recipe with open_clip's own functions."""
    clip = load_clip(MODEL, path).eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    rows = []
    for synonyms in names:
        prompts = [t.format(n) for n in synonyms for t in templates]
        with torch.no_grad():
            rows.append(clip.encode_text(tokenizer(prompts), normalize=True))
    return F.normalize(torch.stack([r.mean(0) for r in rows]), dim=-1)


def test_template_text_equals_open_clip(clip_file, device):
    templates = ('a photo of a {}.', '{}')
    bank = TemplateText(
        MODEL,
        clip_file,
        names=('boat', ('bird', 'avian'), 'car'),
        background_words=('sky', 'road'),
        templates=templates,
    ).to(device)
    expected = naive_template(
        clip_file,
        [('boat',), ('bird', 'avian'), ('car',), ('sky',), ('road',)],
        templates,
    )
    assert len(bank) == 3
    assert torch.allclose(bank().cpu(), expected, atol=1e-6)


def test_synonyms_can_be_kept_apart(clip_file, device):
    templates = ('a photo of a {}.', '{}')
    bank = TemplateText(
        MODEL,
        clip_file,
        names=('boat', 'bird', 'car'),
        aliases={'bird': ('bird', 'avian')},
        background_words=(('sky', 'cloud'), 'road'),
        templates=templates,
        synonyms='keep',
    ).to(device)
    alone = ['boat', 'bird', 'avian', 'car', 'sky', 'cloud', 'road']
    expected = naive_template(clip_file, [(n,) for n in alone], templates)
    assert len(bank) == 3
    assert bank.rows_per_class == [1, 2, 1, 2, 1]
    assert torch.allclose(bank().cpu(), expected, atol=1e-6)


def naive_prompts(path, names, contexts):
    """The whole padded sequence of each class, no shared beginning."""
    clip = load_clip(MODEL, path).eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    rows = []
    for name in names:
        ids = tokenizer([name])[0]
        embedded = clip.token_embedding(ids)
        x = torch.cat([embedded[:1], contexts, embedded[1:]])
        x = x[: clip.context_length] + clip.positional_embedding
        x = clip.transformer(x[None], attn_mask=clip.attn_mask)
        end = int(ids.argmax()) + len(contexts)
        rows.append(clip.ln_final(x)[0, end] @ clip.text_projection)
    return torch.stack(rows)


def test_prompt_text_equals_naive_sequence(clip_file, device):
    bank = PromptText(MODEL, clip_file, names=NAMES, num_contexts=5)
    contexts = bank.contexts.detach().clone()
    expected = naive_prompts(clip_file, NAMES, contexts)
    assert torch.allclose(bank.to(device)().cpu(), expected, atol=1e-5)


def test_gradient_reaches_the_contexts_alone(clip_file):
    bank = PromptText(MODEL, clip_file, names=NAMES, num_contexts=5)
    contexts = bank.contexts.detach().clone().requires_grad_()
    naive_prompts(clip_file, NAMES, contexts).square().sum().backward()
    bank().square().sum().backward()
    assert torch.allclose(bank.contexts.grad, contexts.grad, atol=1e-3)
    assert all(p.grad is None for p in bank.tower.parameters())


def test_kept_until_something_changes(clip_file):
    bank = PromptText(MODEL, clip_file, names=NAMES).eval()
    with torch.no_grad():
        first = bank()
        assert bank() is first
        bank.train()  # a training may begin
        assert bank() is not first
        bank.eval()
        bank.set_names(('fish', 'car'))
        assert len(bank()) == 2
        kept = bank()
        state = copy.deepcopy(bank.state_dict())
        state['contexts'] += 1
        bank.load_state_dict(state)
        assert not torch.allclose(bank(), kept)
    assert bank().requires_grad  # with gradients nothing is kept


def count_encodings(bank, monkeypatch) -> list:
    """A list that grows with every encoding."""
    calls, encode = [], bank.encode

    def counted():
        calls.append(bank.training)
        return encode()

    monkeypatch.setattr(bank, 'encode', counted)
    return calls


def test_template_text_is_kept_while_others_train(clip_file, monkeypatch):
    """Through mmengine's loop, which calls train() in every iteration."""
    bank = TemplateText(MODEL, clip_file, names=NAMES)
    calls = count_encodings(bank, monkeypatch)
    for _ in range(3):
        bank.train()
        bank()
    bank.eval()
    bank()
    assert len(calls) == 1
    bank.to(torch.float64)
    assert bank().dtype == torch.float64
    assert len(calls) == 2


def test_trained_prompts_are_not_kept(clip_file, monkeypatch):
    bank = PromptText(MODEL, clip_file, names=NAMES)
    calls = count_encodings(bank, monkeypatch)
    for _ in range(3):
        bank.train()
        bank()
    assert len(calls) == 3


def test_what_is_kept_has_full_precision(clip_file):
    """It is used after the autocast in which it was first needed."""
    bank = TemplateText(MODEL, clip_file, names=NAMES)
    with torch.autocast('cpu', torch.bfloat16):
        kept = bank()
    assert kept.dtype == torch.float32
    other = TemplateText(MODEL, clip_file, names=NAMES)
    assert torch.equal(kept, other())


def test_names_travel_with_checkpoints(clip_file):
    source = PromptText(MODEL, clip_file, names=NAMES)
    target = PromptText(MODEL, clip_file)
    with pytest.raises(RuntimeError, match='class names .* not known'):
        target()
    target.load_state_dict(source.state_dict(), strict=True)
    assert target.names == source.names
    assert torch.equal(target(), source())


def test_own_names_stand(clip_file):
    source = PromptText(MODEL, clip_file, names=NAMES)
    target = PromptText(MODEL, clip_file, names=('a', 'b'))
    target.load_state_dict(source.state_dict(), strict=True)
    assert target.names == (('a',), ('b',))


def test_foreground_only(clip_file):
    bank = TemplateText(MODEL, clip_file, foreground_only=True)
    bank.set_names(('background', *NAMES))
    assert len(bank) == 3


def test_aliases(clip_file):
    plain = TemplateText(MODEL, clip_file, names=('avian',))
    alias = TemplateText(
        MODEL, clip_file, names=('bird',), aliases=dict(bird='avian')
    )
    assert torch.equal(plain(), alias())
    assert alias.names == (('bird',),)


@pytest.mark.parametrize('kind', [TemplateText, PromptText])
def test_a_name_that_does_not_fit(clip_file, kind):
    name = 'very ' * 50 + 'long'
    with pytest.raises(ValueError, match='very very .* tokens'):
        kind(MODEL, clip_file, names=('boat', name))


def test_the_longest_name_fits(clip_file):
    """Start, 8 contexts, name and end fill the context of 40 exactly."""
    bank = PromptText(MODEL, clip_file, names=('boat ' * 30,))
    assert bank().isfinite().all()
    with pytest.raises(ValueError, match='32 tokens.*only 31 fit'):
        bank.set_names(('boat ' * 31,))


def test_bad_names(clip_file):
    with pytest.raises(ValueError, match='class 1 of 2 has an empty name'):
        TemplateText(MODEL, clip_file, names=('boat', ' '))
    with pytest.raises(ValueError, match='no synonyms|not synonyms'):
        PromptText(MODEL, clip_file, names=(('boat', 'ship'),))
    with pytest.raises(ValueError, match=r"'photo' has no \{\}"):
        TemplateText(MODEL, clip_file, names=NAMES, templates='photo')
    with pytest.raises(ValueError, match="no table of aliases 'x'"):
        TemplateText(MODEL, clip_file, names=NAMES, aliases='x')


def test_mmseg_templates(clip_file):
    bank = TemplateText(MODEL, clip_file, names=NAMES, templates='vild')
    assert len(bank.templates) > 10
    assert bank().shape == (3, 64)


def test_laion_style_text_projection(clip_file):
    """Some models project texts with a Linear."""
    bank = TemplateText(MODEL, clip_file, names=NAMES)
    expected = bank().clone()
    module = bank.tower.module
    matrix = module.text_projection.detach()
    del module.text_projection
    module.text_projection = torch.nn.Linear(*matrix.shape, bias=False)
    module.text_projection.weight.data = matrix.T.clone()
    bank._kept = None
    with torch.no_grad():
        assert torch.allclose(bank(), expected, atol=1e-6)


@pytest.mark.parametrize('names', [(), ('background',)])
def test_a_bank_needs_a_class(names):
    message = 'foreground_only=True leaves a text bank no class'
    with pytest.raises(ValueError, match=message):
        TemplateText(MODEL, None, names=names, foreground_only=True)


def test_number_of_contexts():
    most = TemplateText(MODEL, None).room - 2
    bank = PromptText(MODEL, None, names=('boat',), num_contexts=most)
    assert bank().shape[0] == 1
    for count in (-1, most + 1):
        message = f'num_contexts={count} must be from 0 to {most}, '
        with pytest.raises(ValueError, match=message):
            PromptText(MODEL, None, names=('boat',), num_contexts=count)


@torch.no_grad()
def test_steps_between_calls_without_gradients():
    """A loop of epochs sets the mode once in each, not in each step."""
    bank = PromptText(MODEL, None, names=NAMES, num_contexts=2).train()
    before = bank()
    bank.contexts.add_(1)
    assert not torch.allclose(bank(), before)
    bank.eval()
    assert bank() is bank()


def test_names_that_are_damaged():
    bank = TemplateText(MODEL, None, names=NAMES)
    state = bank.state_dict()
    for content in (b'?', b'3', bytes([255])):
        state['name_bytes'] = torch.tensor(list(content), dtype=torch.uint8)
        with pytest.raises(ValueError, match='^name_bytes of the checkpoint '):
            bank.load_state_dict(state)
