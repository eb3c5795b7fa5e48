"""The table of dense paths: its rows, and what it refuses."""

import pytest

from mmseg_weakclip.models.clip.dense.presets import PRESETS, build_dense

AFFINITY = dict(type='TimmAffinity', model='vit_tiny_patch16_224')


def test_presets_can_be_changed():
    changed = build_dense(dict(preset='excel', layers=3))
    assert changed.layers == 3
    assert changed.terms == build_dense('excel').terms
    assert build_dense(None) is None
    assert build_dense(dict(terms='kk')).terms == ('kk',)


def test_every_preset_builds():
    for name in PRESETS:
        row = dict(preset=name)
        if name == 'proxy':
            row['affinity'] = AFFINITY
        assert build_dense(row).terms == PRESETS[name]['terms']


@pytest.mark.parametrize(
    ('dense', 'message'),
    [
        ('sclipp', r"no dense preset 'sclipp'.*'clearclip'.*'excel'"),
        ('trident', "^dense='trident' is left out: .* two models, .*'sclip'"),
        (dict(preset='RF-CLIP'), "^dense='RF-CLIP' is left out: it changes"),
        ('lposs', r"refinement after one: set refine=dict\(type='LabelPropag"),
        (dict(layer=3), r"no dense argument 'layer'; there are \['layers'"),
        (dict(terms=('qx',)), r"terms=\('qx',\)"),
        (dict(terms=()), r'terms=\(\)'),
        (dict(norm='max'), "norm='max'"),
        (dict(heads='all'), "heads='all'"),
        (dict(layers=0), 'layers=0'),
        (dict(iterations=-1), 'iterations=-1'),
        (dict(window=0.0), 'window=0.0'),
        (dict(window='adaptive'), "window='adaptive'"),
        (dict(temperature=-1.0), 'temperature=-1.0'),
        (dict(layers='3'), "layers='3' must be a whole number, 1 or more"),
        (dict(window='big'), "window='big' must be a number of patches"),
        (dict(temperature='hot'), "temperature='hot' must be above 0"),
        (dict(terms='xx'), r"terms=\('xx',\)"),
        (dict(preset='sc_clip', fuse=(4,)), r'fuse=\(4,\) must be two'),
        (dict(preset='sc_clip', repair=True), "repair=True must be 'lof'"),
        (dict(preset='sc_clip', repair=dict(neighbours=0)), 'must be 1 or'),
        (dict(preset='sc_clip', repair=dict(share=2.0)), r'in \(0, 1\]'),
        (dict(preset='sc_clip', smooth=True), 'smooth=True must be a dict'),
        # Blocks that would be ignored, or looked for in vain.
        (dict(preset='sc_clip', smooth=dict(before=0)), 'counted from 1'),
        (dict(preset='sc_clip', smooth=dict(before=-1)), 'counted from 1'),
        (dict(preset='sc_clip', smooth=dict(before=1.5)), 'counted from 1'),
        (dict(preset='sc_clip', smooth=dict(threshold=0.3)), 'at least one'),
        # Arguments that contradict each other.
        (dict(preset='sclip', layers=2), 'ffn=True with layers=2'),
        ('proxy', r"terms=\('affinity',\) with affinity=None"),
        (dict(preset='sclip', affinity=AFFINITY), 'need each other'),
        (dict(terms=('qk',), iterations=1), r"iterations=1 .*\('qk',\)"),
        (dict(preset='maskclip', window=5.0), 'window=5.0 .*no similarity'),
        (
            dict(preset='maskclip', unit_length=True, temperature=2.0),
            'unit_length=True, temperature=2.0 with',
        ),
    ],
    ids=str,
)
def test_bad_values(dense, message):
    with pytest.raises(ValueError, match=message):
        build_dense(dense)
