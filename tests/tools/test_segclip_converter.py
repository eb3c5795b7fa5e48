"""A released file made from a small model, and brought back."""

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from segclip_names import clip_name, group_name, sort_weights
from segclip_reconstruction import convert_reconstruction
from torch import nn

from mmseg_weakclip.models.clip import text_bank, vit
from mmseg_weakclip.models.clip.weights import load_clip

OPTIONS = ['--model', 'toyclip', '--num-centers', '5']
GROUP_AFTER = 4
WIDTH, PATCH, SIDE = 128, 8, 12
LAYERS = 'clip.visual.transformer.'
GROUP = f'{LAYERS}semantic_layer2.'
POSITION = 'vis_mae_decoder.decoder_pos_embed'
# How the published code calls the modules of the grouping.
GROUPING = {
    'centers': 'semantic_center',
    'patch_norm.': 'norm.',
    'center_norm.': 'cross_ln.',
    'key.': 'k_conv.',
    'key_norm.': 'k_ln.',
    'value.': 'v_conv.',
    'group_norm.': 'proj_o.ln.',
    'group_mlp.0.': 'proj_o.mlp.fc1.',
    'group_mlp.2.': 'proj_o.mlp.fc2.',
    'query_norm.': 'ln_x.',
    'attention.': 'attn.',
    'mlp_norm.': 'ln_2.',
    'mlp.0.': 'mlp.c_fc.',
    'mlp.2.': 'mlp.c_proj.',
}
DECODER = {
    'mixer.mix.': f'{LAYERS}reconstruct_layer2.rec_proj_a.a_fc.',
    'mixer.blocks.': f'{LAYERS}layers_mae2.',
    'decoder.mask_token': 'vis_mae_decoder.mask_token',
    'decoder.embed.': 'vis_mae_decoder.decoder_embed.',
    'decoder.blocks.': 'vis_mae_decoder.decoder_blocks.',
    'decoder.norm.': 'vis_mae_decoder.decoder_norm.',
    'decoder.predict.': 'vis_mae_decoder.decoder_pred.',
}


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('model_converters/segclip.py')


def build_model(seed) -> nn.Module:
    """What of a SegCLIP has weights, and where it has them."""
    torch.manual_seed(seed)
    clip = dict(model='toyclip', pretrained=None, frozen=False)
    model = nn.Module()
    model.backbone = MODELS.build(
        dict(
            type='GroupingCLIPViT',
            out_indices=(0,),
            group=dict(type='SemanticGroup', channels=WIDTH, num_centers=5),
            group_after=GROUP_AFTER,
            with_tokens=True,
            **clip,
        )
    )
    model.decode_head = nn.Module()
    model.decode_head.text = MODELS.build(
        dict(type='TemplateText', names=('boat', 'car'), **clip)
    )
    model.decode_head.logit_scale = nn.Parameter(torch.rand(()))
    model.auxiliary_head = MODELS.build(
        dict(
            type='MaskedReconstructionHead',
            channels=WIDTH,
            patch_size=PATCH,
            num_centers=5,
            decoder_channels=32,
        )
    )
    # Norms and centres start alike in all models.
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture(scope='module')
def model():
    return build_model(1)


def replace_first(name, table):
    ours = next(ours for ours in table if name.startswith(ours))
    return table[ours] + name.removeprefix(ours)


def published_group_name(name: str) -> str:
    if not name.startswith('blocks.'):
        return replace_first(name, GROUPING)
    _, index, rest = name.split('.', 2)
    # Inside of a cross layer key_norm is another.
    rest = replace_first(rest, {**GROUPING, 'key_norm.': 'ln_k.'})
    return f'cross_att.{index}.{rest}'


def published_blocks(name: str, group_after: int) -> str:
    words = name.split('.')
    if words[:2] == ['transformer', 'resblocks']:
        index = int(words[2])
        layers = 'layers0' if index < group_after else 'layers2'
        index -= group_after * (index >= group_after)
        words = ['transformer', layers, str(index), *words[3:]]
    return '.'.join(['clip', 'visual', *words])


def publish(model, group_after) -> dict[str, torch.Tensor]:
    """The weights of a model as SegCLIP names them."""
    state = {'clip.logit_scale': model.decode_head.logit_scale.detach()}
    for name, value in model.backbone.tower.module.state_dict().items():
        state[published_blocks(name, group_after)] = value
    text = model.decode_head.text.tower.module
    state |= {f'clip.{name}': v for name, v in text.state_dict().items()}
    for name, value in model.backbone.group.state_dict().items():
        state[GROUP + published_group_name(name)] = value
    for name, value in model.auxiliary_head.state_dict().items():
        state[replace_first(name, DECODER)] = value
    state['vis_mae_decoder.mask_token'] = state['vis_mae_decoder.mask_token'][
        None, None
    ]
    return state


def published_code(side, channels) -> torch.Tensor:
    """MAE's code of positions of a square: the column first, then the row."""
    wave = 10_000 ** -(torch.arange(channels // 4) / (channels // 4))
    halves = [
        torch.cat(
            [(place[:, None] * wave).sin(), (place[:, None] * wave).cos()], 1
        )
        for place in (
            torch.arange(side).repeat(side),
            torch.arange(side).repeat_interleave(side),
        )
    ]
    return torch.cat(halves, 1)


def stored(code) -> torch.Tensor:
    """A code of positions as the file has it, the class token first."""
    return torch.cat([torch.zeros(1, code.shape[1]), code])[None]


@pytest.fixture(scope='module')
def released(model):
    position = stored(published_code(SIDE, 32))
    return {**publish(model, GROUP_AFTER), POSITION: position}


@pytest.fixture
def source(released, tmp_path):
    torch.save(released, tmp_path / 'segclip.bin')
    return tmp_path / 'segclip.bin'


def load(path):
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['meta'] == {'converted_from': 'segclip.bin'}
    return checkpoint['state_dict']


def test_everything_comes_back(tool, model, source, released, tmp_path, capfd):
    out = tmp_path / 'made/segclip.pth'
    tool.main([str(source), str(out), *OPTIONS])
    weights = load(out)
    other = build_model(2)
    keys = other.load_state_dict(weights, strict=False)
    assert keys.unexpected_keys == []
    assert all(n.startswith('auxiliary_head.') for n in keys.missing_keys)
    own = model.state_dict()
    for name, value in weights.items():
        assert torch.equal(own[name], value), name
    image = torch.randn(1, 3, 40, 24)
    torch.testing.assert_close(
        other.backbone(image)[-1].region_embeddings,
        model.backbone(image)[-1].region_embeddings,
    )
    torch.testing.assert_close(
        other.decode_head.text(), model.decode_head.text()
    )
    text = ''.join(capfd.readouterr())
    assert 'group_after=4' in text
    assert POSITION in text


def test_the_reconstruction_on_request(tool, model, source, tmp_path):
    """Tensor by tensor, and its decoder computes the same."""
    out = tmp_path / 'segclip.pth'
    tool.main([str(source), str(out), '--reconstruction', *OPTIONS])
    other = build_model(2)
    other.load_state_dict(load(out))  # strictly
    visible = torch.randn(2, 5, WIDTH)
    order = torch.stack([torch.randperm(12) for _ in range(2)])
    found = other.auxiliary_head.decoder(visible, order, (3, 4))
    for name, value in model.auxiliary_head.state_dict().items():
        assert torch.equal(other.auxiliary_head.state_dict()[name], value)
    expected = model.auxiliary_head.decoder(visible, order, (3, 4))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_codes_of_positions_that_are_unknown(released):
    part = {n: v for n, v in released.items() if 'mae' in n}
    for value, message in (
        (released[POSITION] + 1, 'not the code that is computed here'),
        # The halves exchanged: the row first.
        (released[POSITION].roll(16, -1), 'not the code that is computed'),
        (released[POSITION][:, :-1], 'no square of patches'),
    ):
        with pytest.raises(ValueError, match=message):
            convert_reconstruction({**part, POSITION: value})
    with pytest.raises(ValueError, match=f'there is no {POSITION}'):
        convert_reconstruction({})
    with pytest.raises(ValueError, match=r'known of .*decoder_x\.weight'):
        convert_reconstruction(
            {**part, 'vis_mae_decoder.decoder_x.weight': torch.ones(1)}
        )


def block_names(prefix):
    leaves = (
        *('attn.in_proj_weight', 'attn.in_proj_bias'),
        *('attn.out_proj', 'ln_1', 'ln_2', 'mlp.c_fc', 'mlp.c_proj'),
    )
    for leaf in leaves:
        if 'in_proj' in leaf:
            yield prefix + leaf
        else:
            yield from (f'{prefix}{leaf}.weight', f'{prefix}{leaf}.bias')


def test_real_names_fit_the_released_config(tool, repo, monkeypatch):
    """415 tensors, of which 345 have a place in the model that is tested."""
    clip = load_clip('ViT-B-16-quickgelu', None)
    for module in (vit, text_bank):
        monkeypatch.setattr(module, 'load_clip', lambda *_: clip)
    (path,) = (repo / 'configs/segclip').glob('*_released.py')
    model = MODELS.build(Config.fromfile(path).model)
    model.decode_head.text.set_names(('boat',))
    state = {
        name: torch.zeros(()).expand(value.shape)
        for name, value in publish(model, 10).items()
    }
    state[POSITION] = stored(published_code(14, 384))
    assert len(state) == 415
    names = {
        *(n for i in range(10) for n in block_names(f'{LAYERS}layers0.{i}.')),
        *(n for i in range(2) for n in block_names(f'{LAYERS}layers2.{i}.')),
        *(
            n
            for i in range(2)
            for n in block_names(f'{LAYERS}layers_mae2.{i}.')
        ),
        f'{GROUP}semantic_center',
        f'{GROUP}cross_att.1.ln_k.weight',
        f'{GROUP}cross_att.0.attn.in_proj_bias',
        f'{GROUP}proj_o.mlp.fc2.bias',
        f'{LAYERS}reconstruct_layer2.rec_proj_a.a_fc.weight',
        'vis_mae_decoder.decoder_blocks.2.attn.qkv.weight',
    }
    assert names <= state.keys()
    monkeypatch.setattr('segclip_names.load_clip', lambda *_: clip)
    for flags in (['--reconstruction'], []):
        args = tool.build_parser().parse_args(['in', 'out', *flags])
        weights, dropped, group_after = tool.convert(args, state)
        assert group_after == 10
        assert len(weights) == (414 if flags else 345)
        assert len(dropped) == (0 if flags else 70)
        if not flags:
            model.auxiliary_head = None
        own = model.state_dict()
        keys = model.load_state_dict(weights, strict=False)
        assert keys.missing_keys == keys.unexpected_keys == []
        assert all(weights[n].shape == own[n].shape for n in weights)


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        (
            f'{LAYERS}layers0.9.ln_1.weight',
            'transformer.resblocks.9.ln_1.weight',
        ),
        (
            f'{LAYERS}layers2.1.attn.in_proj_bias',
            'transformer.resblocks.11.attn.in_proj_bias',
        ),
        ('clip.visual.conv1.weight', 'conv1.weight'),
        ('clip.visual.class_embedding', 'class_embedding'),
        ('clip.visual.positional_embedding', 'positional_embedding'),
        ('clip.visual.ln_pre.bias', 'ln_pre.bias'),
        ('clip.visual.ln_post.weight', 'ln_post.weight'),
        ('clip.visual.proj', 'proj'),
    ],
)
def test_names_of_the_image_half(theirs, ours):
    assert clip_name(theirs, 10) == f'backbone.tower.module.{ours}'


@pytest.mark.parametrize(
    'name',
    [
        'transformer.resblocks.11.mlp.c_fc.weight',
        'token_embedding.weight',
        'positional_embedding',
        'ln_final.bias',
        'text_projection',
    ],
)
def test_names_of_the_text_half(name):
    expected = f'decode_head.text.tower.module.{name}'
    assert clip_name(f'clip.{name}', 10) == expected


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        ('semantic_center', 'centers'),
        ('norm.weight', 'patch_norm.weight'),
        ('cross_att.1.ln_x.bias', 'blocks.1.query_norm.bias'),
        ('cross_att.0.ln_k.weight', 'blocks.0.key_norm.weight'),
        (
            'cross_att.0.attn.in_proj_weight',
            'blocks.0.attention.in_proj_weight',
        ),
        ('cross_att.0.attn.out_proj.bias', 'blocks.0.attention.out_proj.bias'),
        ('cross_att.0.mlp.c_proj.bias', 'blocks.0.mlp.2.bias'),
        ('k_ln.bias', 'key_norm.bias'),
        ('v_conv.weight', 'value.weight'),
        ('proj_o.mlp.fc1.weight', 'group_mlp.0.weight'),
    ],
)
def test_names_of_the_grouping(theirs, ours):
    assert group_name(GROUP + theirs) == f'backbone.group.{ours}'


def test_other_names():
    assert clip_name('clip.logit_scale', 10) == 'decode_head.logit_scale'
    for name in ('clip.visual.proj2', 'clip.visual.conv1', 'visual.proj'):
        assert clip_name(name, 10) is None
    for name in (
        f'{GROUP}other.weight',
        f'{GROUP}cross_att.0.x.bias',
        'norm.',
    ):
        assert group_name(name) is None


def test_order_in_the_file_does_not_matter(released):
    plain = sort_weights(released)
    turned = sort_weights(dict(reversed(released.items())))
    assert plain.weights.keys() == turned.weights.keys()
    assert plain.group_after == turned.group_after == GROUP_AFTER


def refused(tool, capsys, *arguments) -> str:
    with pytest.raises(SystemExit):
        tool.main([*map(str, arguments), *OPTIONS])
    return capsys.readouterr().err


def test_tensors_that_are_wrong(tool, released, tmp_path, capsys):
    changed = dict(released)
    del changed['clip.visual.proj']
    changed['clip.logit_scale'] = torch.zeros(1)
    changed['clip.ln_final.extra'] = torch.zeros(1)
    changed[f'{GROUP}semantic_center'] = torch.zeros(4, WIDTH)
    source, out = tmp_path / 'segclip.bin', tmp_path / 'segclip.pth'
    torch.save(changed, source)
    said = refused(tool, capsys, source, out).splitlines()[-1]
    _, _, problems = said.partition(f'{source}: ')
    assert sorted(problems.split('; ')) == [
        "'backbone.group.centers' is (4, 128), the model has (5, 128)",
        "'decode_head.logit_scale' is (1,), the model has ()",
        "nothing becomes 'backbone.tower.module.proj'",
        "the model has no 'decode_head.text.tower.module.ln_final.extra'",
    ]
    assert not out.exists()


def test_unknown_names(tool, released, tmp_path, capsys):
    source, out = tmp_path / 'segclip.bin', tmp_path / 'segclip.pth'
    torch.save({**released, 'extra.weight': torch.zeros(1)}, source)
    said = refused(tool, capsys, source, out)
    assert f"{source}: nothing is known of ['extra.weight']" in said
    assert not out.exists()
    tool.main([str(source), str(out), *OPTIONS, '--drop', 'extra.'])
    assert out.exists()


def test_files_of_something_else(tool, tmp_path, capsys):
    source, out = tmp_path / 'other.bin', tmp_path / 'segclip.pth'
    assert 'No such file' in refused(tool, capsys, source, out)
    source.write_bytes(b'no tensors')
    assert 'a text file' in refused(tool, capsys, source, out)
    torch.save({'visual.proj': torch.zeros(1)}, source)
    said = refused(tool, capsys, source, out)
    assert f'{source}: these are not weights of SegCLIP' in said
