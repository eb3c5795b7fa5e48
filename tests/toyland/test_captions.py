import numpy as np

from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.toyland.captions import TAGS, scene_tags, write_caption
from mmseg_weakclip.toyland.objects import CLASSES, PART_WORDS, PARTS
from mmseg_weakclip.toyland.scenes import make_scene


def test_captions_say_nothing_untrue():
    for index in range(300):
        tags = scene_tags(make_scene(0, index))
        caption = write_caption(tags, np.random.default_rng(index))
        assert set(caption.tags) <= set(tags)
        assert caption.text.strip()
        words = caption.text.replace(',', ' ').replace('.', ' ').split()
        for tag, name in enumerate(TAGS):
            if name in words:
                assert tag in caption.tags


def test_an_object_is_named_or_described():
    """No tag of a caption is left unsaid."""
    for index in range(300):
        tags = scene_tags(make_scene(0, index))
        caption = write_caption(tags, np.random.default_rng(index))
        for tag in caption.tags:
            name = TAGS[tag]
            words = (name, *PART_WORDS.get(name, ()))
            assert any(word in caption.text for word in words)


def test_parts_belong_to_one_class():
    words = [word for parts in PART_WORDS.values() for word in parts]
    assert len(words) == len(set(words))
    assert PART_WORDS.keys() == PARTS.keys()


def test_classes_are_those_of_the_data_set():
    assert tuple(VOCABULARIES['toyland']) == CLASSES
