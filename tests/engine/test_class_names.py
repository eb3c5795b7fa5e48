from types import SimpleNamespace

import pytest
from mmseg.models.decode_heads import FCNHead
from torch import nn

from mmseg_weakclip.engine.hooks import (
    ClassNamesHook,
    check_class_counts,
    name_classes,
)
from mmseg_weakclip.models.clip.text import PromptText, TemplateText

CLASSES = ('background', 'boat', 'car')
CLIP = dict(model='toyclip', pretrained=None)


def make_head(num_classes):
    return FCNHead(in_channels=4, channels=4, num_classes=num_classes)


def test_texts_without_names_get_those_of_the_data_set():
    model = nn.ModuleDict(
        dict(
            everything=PromptText(**CLIP),
            foreground=TemplateText(**CLIP, foreground_only=True),
            other=TemplateText(**CLIP, names=('stuff', 'ship', 'van')),
        )
    )
    for split in ('train', 'val', 'test'):
        for part in ('everything', 'foreground'):
            model[part].names = None
        dataset = SimpleNamespace(metainfo=dict(classes=CLASSES))
        loader = SimpleNamespace(dataset=dataset)
        runner = SimpleNamespace(
            model=model, **{f'{split}_dataloader': loader}
        )
        getattr(ClassNamesHook(), f'before_{split}')(runner)
        assert model['everything'].names == (
            ('background',),
            ('boat',),
            ('car',),
        )
        assert model['foreground'].names == (('boat',), ('car',))
        assert model['other'].names == (('stuff',), ('ship',), ('van',))


@pytest.mark.parametrize('classes', [CLASSES, CLASSES[1:]])
def test_counts_that_agree(classes):
    model = nn.ModuleDict(
        dict(
            head=make_head(len(classes)),
            everything=TemplateText(**CLIP, names=classes),
            foreground=TemplateText(
                **CLIP,
                names=classes,
                foreground_only=True,
                # They are no classes.
                background_words=('sky', 'sand'),
            ),
        )
    )
    check_class_counts(model, classes)


def test_all_culprits_are_named():
    model = nn.ModuleDict(
        dict(
            first=make_head(2),
            right=make_head(3),
            wrapped=nn.Sequential(make_head(4)),
            text=TemplateText(**CLIP, names=('boat', 'car', 'fish', 'tree')),
        )
    )
    message = (
        r'3 classes \(background, boat, car, ...\), but '
        r'first \(FCNHead\) has num_classes=2; '
        r'wrapped.0 \(FCNHead\) has num_classes=4; '
        r'text \(TemplateText\) has 4 names\. Make '
    )
    with pytest.raises(ValueError, match=message):
        check_class_counts(model, CLASSES)


def test_names_of_something_else_are_left_alone():
    """As those of super-classes; they are neither given nor counted."""
    named, nameless = (
        TemplateText(**CLIP, names=names) for names in (('a',), None)
    )
    named.of_classes = nameless.of_classes = False
    model = nn.ModuleDict(dict(head=make_head(3), a=named, b=nameless))
    name_classes(model, CLASSES)
    assert nameless.names is None


def test_a_foreground_bank_has_no_background():
    bank = TemplateText(**CLIP, names=('a', 'b', 'c'), foreground_only=True)
    with pytest.raises(ValueError, match=r'\(TemplateText\) has 3 names'):
        check_class_counts(nn.Sequential(bank), CLASSES)


def test_captions_name_no_classes():
    """The names come from the validation set, when it is scored."""
    model = nn.ModuleDict(
        dict(head=make_head(3), text=TemplateText(**CLIP, names=None))
    )
    loaders = {
        f'{split}_dataloader': SimpleNamespace(
            dataset=SimpleNamespace(metainfo=dict(classes=classes))
        )
        for split, classes in (('train', ()), ('val', CLASSES))
    }
    runner = SimpleNamespace(model=model, **loaders)
    hook = ClassNamesHook()
    hook.before_train(runner)
    assert model['text'].names is None
    hook.before_val(runner)
    assert model['text'].names == (('background',), ('boat',), ('car',))
