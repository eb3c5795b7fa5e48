"""A released file made from a small model, and brought back."""

import json

import pytest
import torch
from mmseg.registry import MODELS
from segclip_names import (
    clip_name,
    convert_weights,
    describe_names,
    expected_shapes,
    match_by_shape,
    sort_weights,
    squeeze,
)
from torch import nn

OPTIONS = ['--model', 'toyclip', '--num-centers', '5']
GROUP_AFTER = 4
LAYERS = 'clip.visual.transformer.'
GROUP = f'{LAYERS}semantic_layer2.'
RECONSTRUCTION = (
    f'{LAYERS}layers_mae2.0.ln_1.weight',
    f'{LAYERS}reconstruct_layer2.weight',
    'vis_mae_decoder.mask_token',
)


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
            group=dict(type='SemanticGroup', channels=128, num_centers=5),
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
    # Norms and centres start alike in all models.
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture(scope='module')
def model():
    return build_model(1)


@pytest.fixture(scope='module')
def table(model):
    """Names of their own for all tensors of the grouping."""
    names = model.backbone.group.state_dict()
    return {f'part.{i}': name for i, name in enumerate(names)}


@pytest.fixture(scope='module')
def released(model, table):
    """The model as SegCLIP names it."""
    state = {'clip.logit_scale': model.decode_head.logit_scale.detach()}
    for name, value in model.backbone.tower.module.state_dict().items():
        words = name.split('.')
        if words[:2] == ['transformer', 'resblocks']:
            index = int(words[2])
            layers = 'layers0' if index < GROUP_AFTER else 'layers2'
            index -= GROUP_AFTER * (index >= GROUP_AFTER)
            words = ['transformer', layers, str(index), *words[3:]]
        state['.'.join(['clip', 'visual', *words])] = value
    for (
        name,
        value,
    ) in model.decode_head.text.tower.module.state_dict().items():
        state[f'clip.{name}'] = value
    group = model.backbone.group.state_dict()
    for theirs, ours in table.items():
        state[GROUP + theirs] = group[ours]
    for name in RECONSTRUCTION:
        state[name] = torch.zeros(3)
    return state


@pytest.fixture
def source(released, tmp_path):
    torch.save(released, tmp_path / 'segclip.bin')
    return tmp_path / 'segclip.bin'


@pytest.fixture
def names(table, tmp_path):
    path = tmp_path / 'names.json'
    path.write_text(json.dumps(table))
    return path


@pytest.fixture(scope='module')
def expected():
    return expected_shapes('toyclip', 5)


def test_everything_comes_back(
    tool, model, source, names, released, tmp_path, capfd
):
    out = tmp_path / 'segclip.pth'
    tool.main([str(source), str(out), '--group-names', str(names), *OPTIONS])
    checkpoint = torch.load(out, weights_only=True)
    assert checkpoint['meta'] == {'converted_from': 'segclip.bin'}
    weights = checkpoint['state_dict']
    assert len(weights) == len(released) - len(RECONSTRUCTION)
    other = build_model(2)
    own = model.state_dict()
    assert not torch.equal(
        other.backbone.group.centers, own['backbone.group.centers']
    )
    other.load_state_dict(weights)  # strictly
    state = other.state_dict()
    assert state.keys() == own.keys()
    for name, value in own.items():
        assert torch.equal(state[name], value), name
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
    assert '3 tensors dropped' in text
    assert all(name in text for name in RECONSTRUCTION)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {'segclip.bin', 'names.json', 'segclip.pth'}


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


def test_other_names():
    assert clip_name('clip.logit_scale', 10) == 'decode_head.logit_scale'
    for name in ('clip.visual.proj2', 'clip.visual.conv1', 'visual.proj'):
        assert clip_name(name, 10) is None


def test_without_a_table(tool, source, tmp_path, capsys):
    out = tmp_path / 'segclip.pth'
    with pytest.raises(SystemExit) as stop:
        tool.main([str(source), str(out), *OPTIONS])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert '--write-table' in lines[0]
    centers = next(line for line in lines if 'centers' in line)
    cells = ' '.join(centers.split())
    assert cells == '(5, 128) part.0 (5, 128) centers (5, 128)'
    assert not out.exists()


def test_a_table_to_fill_in(tool, source, table, released, tmp_path):
    path = tmp_path / 'table.json'
    arguments = [str(source), '--write-table', str(path), *OPTIONS]
    tool.main(arguments)
    written = json.loads(path.read_text())
    assert list(written) == list(table)
    filled = {name: ours for name, ours in written.items() if ours}
    assert filled == {'part.0': 'centers'}
    # What somebody has filled in is not lost.
    with pytest.raises(SystemExit, match=r'table\.json is there already'):
        tool.main(arguments)
    out = tmp_path / 'segclip.pth'
    arguments = [str(source), str(out), '--group-names', str(path), *OPTIONS]
    with pytest.raises(SystemExit, match="no name for 'part.1'"):
        tool.main(arguments)
    assert not out.exists()


def test_matching_by_shape():
    theirs = dict(a=(1, 5, 8), b=(8, 4, 1, 1), c=(8,), d=(8,), e=(3,))
    ours = dict(x=(5, 8), y=(8, 4, 1), z=(8,), w=(2,))
    table = match_by_shape(theirs, ours)
    assert table == dict(a='x', b='y', c=None, d=None, e=None)
    # Two of ours for one of theirs.
    assert match_by_shape(dict(c=(8,)), dict(z=(8,), v=(8,))) == dict(c=None)


def test_both_sides_beside_each_other():
    text = describe_names(dict(a=(1, 5), c=(8,), d=(8,)), dict(x=(8,)))
    rows = [line.split('  ') for line in text.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert rows == [
        ['shape', 'in the file', 'here'],
        ['(5,)', 'a (1, 5)', '-'],
        ['(8,)', 'c (8,)', 'x (8,)'],
        ['(8,)', 'd (8,)', '-'],
    ]


def test_ones_in_a_shape_do_not_matter(released, table, expected):
    """In the grouping: nobody but its authors knows how they wrote it."""
    names = {ours: theirs for theirs, ours in table.items()}
    changed = dict(released)
    changed[GROUP + names['centers']] = released[GROUP + names['centers']][
        None
    ]
    key = GROUP + names['key.weight']
    changed[key] = released[key][..., None]
    plain = convert_weights(sort_weights(released), table, expected)
    weights = convert_weights(sort_weights(changed), table, expected)
    assert weights.keys() == plain.keys() == expected.keys()
    for name, value in weights.items():
        assert torch.equal(value, plain[name]), name
    assert squeeze((1, 5, 1, 8)) == (5, 8)


def test_order_in_the_file_does_not_matter(released, table, expected):
    turned = dict(reversed(released.items()))
    weights = convert_weights(sort_weights(turned), table, expected)
    assert weights.keys() == expected.keys()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'part.1': 'centers'}, "'part.0' and 'part.1' both become 'centers'"),
        ({'part.1': 'centre'}, "the model has no 'backbone.group.centre'"),
        ({'part.1': None}, "the table has no name for 'part.1'"),
        ({'part.99': 'centers'}, "names 'part.99', which is not in the file"),
    ],
)
def test_tables_that_are_wrong(released, table, expected, change, message):
    with pytest.raises(ValueError, match=message):
        convert_weights(sort_weights(released), {**table, **change}, expected)


def test_tensors_that_are_wrong(released, table, expected):
    changed = dict(released)
    del changed['clip.visual.proj']
    changed['clip.logit_scale'] = torch.zeros(1)
    changed['clip.ln_final.extra'] = torch.zeros(1)
    with pytest.raises(ValueError) as error:
        convert_weights(sort_weights(changed), table, expected)
    assert sorted(str(error.value).split('; ')) == [
        "'decode_head.logit_scale' is (1,), the model has ()",
        "nothing becomes 'backbone.tower.module.proj'",
        "the model has no 'decode_head.text.tower.module.ln_final.extra'",
    ]


def test_wrong_shape_inside_the_grouping(released, table, expected):
    changed = {**released, f'{GROUP}part.0': torch.zeros(4, 128)}
    with pytest.raises(
        ValueError, match=r'centers.* is \(4, 128\), the model'
    ):
        convert_weights(sort_weights(changed), table, expected)


def test_unknown_names(tool, released, names, tmp_path):
    source, out = tmp_path / 'segclip.bin', tmp_path / 'segclip.pth'
    torch.save({**released, 'extra.weight': torch.zeros(1)}, source)
    arguments = [str(source), str(out), '--group-names', str(names), *OPTIONS]
    with pytest.raises(SystemExit, match=r"segclip\.bin: .*'extra\.weight'"):
        tool.main(arguments)
    assert not out.exists()
    tool.main([*arguments, '--drop', 'extra.'])
    assert out.exists()


def test_files_of_something_else(tool, names, tmp_path):
    source, out = tmp_path / 'other.bin', tmp_path / 'segclip.pth'
    arguments = [str(source), str(out), '--group-names', str(names), *OPTIONS]
    with pytest.raises(SystemExit, match='No such file'):
        tool.main(arguments)
    source.write_bytes(b'no tensors')
    with pytest.raises(SystemExit, match='other.bin holds no tensors alone'):
        tool.main(arguments)
    torch.save({'visual.proj': torch.zeros(1)}, source)
    with pytest.raises(
        SystemExit, match='other.bin: .*not weights of SegCLIP'
    ):
        tool.main(arguments)


@pytest.mark.parametrize('text', ['{', '[]', '{"a": 1}'])
def test_tables_that_are_none(tool, source, tmp_path, text):
    path = tmp_path / 'names.json'
    path.write_text(text)
    out = tmp_path / 'segclip.pth'
    with pytest.raises(
        SystemExit, match=r'error: .*names\.json (is|holds) no'
    ):
        tool.main(
            [str(source), str(out), '--group-names', str(path), *OPTIONS]
        )


def test_out_is_missing(tool, source, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main([str(source)])
    assert stop.value.code == 2
    assert 'OUT is missing' in capsys.readouterr().err
