"""Options of a config that are used late must fail when a part is built."""

import pytest

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.classifier import CAMHead
from mmseg_weakclip.models.cam.patch_text_cam import PatchTextCAMHead
from mmseg_weakclip.models.excel.head import IntraCorrelationHead
from mmseg_weakclip.models.excel.pseudo_labels import ClassMaps
from mmseg_weakclip.models.refine.logit_steps import PAMR, LabelPropagation
from mmseg_weakclip.models.refine.par import PAMR_OPTIONS, resolve_par
from mmseg_weakclip.pseudo_masks.writer import PseudoMaskWriter

BACKGROUND = dict(threshold=0.3)


def text_head(text_cfg, **options):
    return PatchTextCAMHead(
        4, text_cfg, **{'background': BACKGROUND, **options}
    )


def excel_head(text_cfg, **options):
    adapter = dict(
        type='MultiLayerAdapter', in_channels=8, channels=8, layers=(0,)
    )
    loss = dict(type='CrossEntropyLoss')
    return IntraCorrelationHead(4, text_cfg, adapter, loss, 8, 1, 2, **options)


PARTS = {
    'text head': text_head,
    'excel head': excel_head,
    'classifier': lambda text, **options: CAMHead(4, 8, **options),
    'affinity': lambda text, **options: AttentionAffinity(**options),
    'class maps': lambda text, **options: ClassMaps(3, **options),
    'writer': lambda text, **options: PseudoMaskWriter('masks', **options),
    'PAMR': lambda text, **options: PAMR(**options),
    'graph': lambda text, **options: LabelPropagation(**options),
}


@pytest.mark.parametrize(
    ('part', 'name', 'good', 'wrong'),
    [
        ('text head', 'background', dict(power=2), dict(power=0)),
        ('text head', 'background', dict(threshold=0.2), {}),
        ('text head', 'propagation', dict(alpha=0.5), dict(alpha=1)),
        ('text head', 'transport', {}, dict(smoothness=0)),
        ('excel head', 'relation', dict(mean='batch'), dict(mean='all')),
        ('excel head', 'par', dict(width=0.2), dict(power=3)),
        ('classifier', 'background', dict(power=2), dict(power=0)),
        (
            'classifier',
            'correlation',
            dict(levels=(0,), power=2),
            dict(levels=(0,), power=0),
        ),
        (
            'classifier',
            'propagation',
            dict(levels=(0,), alpha=0.5),
            dict(levels=(0,), alpha=-1),
        ),
        ('affinity', 'classes', dict(tau=0.1), dict(tau=0)),
        ('class maps', 'grad_cam', dict(block=-2), dict(blocks=-2)),
        ('writer', 'par', dict(form='compiled'), dict(form='fast')),
        ('writer', 'transport', {}, dict(smoothness=-1)),
        ('graph', 'pixels', {}, dict(window=4)),
    ],
)
def test_refused_when_built(text_cfg, part, name, good, wrong):
    make = PARTS[part]
    make(text_cfg, **{name: good})
    with pytest.raises(ValueError, match=name):
        make(text_cfg, **{name: wrong})
    with pytest.raises(ValueError, match=f"{name}=.*'levle'"):
        make(text_cfg, **{name: {**good, 'levle': 1}})


def test_superpixels(text_cfg, tmp_path):
    def make(**options):
        options = dict(folder=str(tmp_path), **options)
        return text_head(text_cfg, affinity={}, superpixels=options)

    make(share=0.2, groups=3)
    for wrong in (dict(share=1.2), dict(confidence=-1), dict(groups=0)):
        (name,) = wrong
        with pytest.raises(ValueError, match=f'superpixels=.*{name}='):
            make(**wrong)
    with pytest.raises(ValueError, match="superpixels=.*'levle'"):
        make(levle=1)


def test_steps_of_logits():
    assert PAMR(width=0.3).options == {**PAMR_OPTIONS, 'width': 0.3}
    LabelPropagation(alpha=0.5, neighbours=3)
    with pytest.raises(ValueError, match="par=.*'levle'"):
        PAMR(levle=1)
    for wrong in (dict(alpha=1), dict(neighbours=0), dict(levle=1)):
        with pytest.raises(ValueError, match=f'propagation=.*{[*wrong][0]}'):
            LabelPropagation(**wrong)
    with pytest.raises(ValueError, match='LabelPropagation has no levels'):
        LabelPropagation(levels=(0,))


def test_nothing_is_compiled_to_check(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('compiled')

    monkeypatch.setattr('torch.compile', refuse)
    assert resolve_par(dict(form='compiled')) == dict(form='compiled')
