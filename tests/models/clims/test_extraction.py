import math

import pytest
import torch
import torch.nn.functional as F
from pretend_cuda import pretend_cuda

from mmseg_weakclip.models.clims.background_lists import background_lists
from mmseg_weakclip.models.clims.extraction import (
    allowed_texts,
    calibrate,
    co_occurrence,
    conditional_gain,
    mean_view,
    presence,
    rank_texts,
)
from mmseg_weakclip.models.clims.extractor import (
    ExtractionSettings,
    extract_backgrounds,
)


def unit(*shape, device):
    return F.normalize(torch.randn(*shape, device=device), dim=-1)


def test_presence_is_the_best_cosine(device):
    views, texts = (
        torch.randn(3, 4, 5, device=device),
        unit(2, 5, device=device),
    )
    expected = [
        [
            max(F.cosine_similarity(v, t, dim=0).item() for v in image)
            for t in texts
        ]
        for image in views
    ]
    expected = torch.tensor(expected, device=device)
    torch.testing.assert_close(presence(views, texts), expected)
    half = presence(views.half(), texts)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, atol=2e-3, rtol=0)


def test_presence_does_not_depend_on_chunks(device, monkeypatch):
    views, texts = unit(7, 2, 5, device=device), unit(3, 5, device=device)
    whole = presence(views, texts)
    monkeypatch.setattr('mmseg_weakclip.models.clims.extraction.CHUNK', 2)
    torch.testing.assert_close(presence(views, texts), whole)


def test_calibration_takes_out_bias_and_scale(device):
    scores = torch.randn(50, 3, device=device)
    z = calibrate(scores)
    torch.testing.assert_close(z.mean(0), torch.zeros(3, device=device))
    torch.testing.assert_close(
        z.std(0, correction=0), torch.ones(3, device=device)
    )
    bias = torch.tensor([5.0, -1, 0], device=device)
    torch.testing.assert_close(calibrate(2 * scores + bias), z)


def test_calibration_does_not_blow_up_what_never_varies(device):
    scores = torch.randn(50, 3, device=device)
    scores[:, 1] = 0.9 + 1e-4 * torch.randn(50, device=device)
    assert calibrate(scores)[:, 1].abs().max() < 1e-2
    assert torch.equal(
        calibrate(torch.ones(4, 2, device=device)),
        torch.zeros(4, 2, device=device),
    )


def test_gain_is_the_mean_difference_of_cosines(device):
    views = torch.randn(3, 4, 5, device=device)
    joint, alone = unit(2, 5, device=device), unit(5, device=device)
    expected = [
        [
            sum(
                F.cosine_similarity(v, t, dim=0).item()
                - F.cosine_similarity(v, alone, dim=0).item()
                for v in image
            )
            / 4
            for t in joint
        ]
        for image in views
    ]
    torch.testing.assert_close(
        conditional_gain(mean_view(views), joint, alone),
        torch.tensor(expected, device=device),
    )


def test_co_occurrence_by_hand(device):
    hits = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]])
    labels = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    found = co_occurrence(
        hits.bool().to(device), labels.bool().to(device), smoothing=2
    )
    # The first text in 2 of 4 images: (2 + 2 / 2) / (2 + 2) against 1 / 2,
    # and (0 + 2 / 2) / (2 + 2). The second is everywhere, the third nowhere;
    # no image has the third class.
    expected = [[math.log(1.5), 0, 0], [math.log(0.5), 0, 0], [0, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(expected, device=device))


def test_smoothing_tames_rare_classes(device):
    hits = torch.zeros(100, 1, dtype=torch.bool, device=device)
    hits[0] = True
    labels = hits.clone()
    sure, unsure = (co_occurrence(hits, labels, s).item() for s in (0.01, 10))
    assert sure > 1.5 * unsure > 0


def test_allowed_texts(device):
    words = ('boats', 'fishing boat', 'sail', 'boat house', 'ark', 'water')
    texts = torch.eye(6, device=device)
    own = F.normalize(texts[4] * 3 + texts[5], dim=-1)[None]
    allowed = allowed_texts(words, ['boat'], texts, own, similarity=0.9)
    assert allowed.tolist() == [[False, False, False, True, False, True]]


def test_nothing_left_for_a_class(device):
    texts = torch.eye(3, device=device)
    arguments = ['wheel', 'cars', 'auto'], ['boat', 'car'], texts, texts[:2]
    with pytest.raises(ValueError, match="no word for the class 'car'.* 3"):
        allowed_texts(*arguments, similarity=2)
    with pytest.raises(ValueError, match='vocabulary .* is empty'):
        allowed_texts([], ['boat'], texts[:0], texts[:1], similarity=2)


def test_ranking(device):
    scores = torch.tensor([[1.0, 5, 3, 4], [0, -torch.inf, 2, 1]])
    similar = torch.eye(4, dtype=torch.bool)
    similar[1, 3] = similar[3, 1] = True
    scores, similar = scores.to(device), similar.to(device)
    # Text 3 repeats the better text 1; a score at the floor is not above it.
    assert rank_texts(scores, similar, top=9, floor=1) == [
        [(1, 5), (2, 3)],
        [(2, 2)],
    ]
    assert rank_texts(scores, similar, top=1, floor=-9) == [
        [(1, 5)],
        [(2, 2)],
    ]


@pytest.fixture
def settings():
    return ExtractionSettings(present=0.5, floor=0.5)


def test_planted_co_occurrence_is_found(planted, settings):
    cache = extract_backgrounds(*planted.arguments, settings=settings)
    assert list(cache.images) == planted.image_ids
    for image_id, scene in planted.scenes.items():
        assert set(cache.images[image_id]) == scene & {'boat', 'car'}
        for name in scene & {'boat', 'car'}:
            found = set(cache.texts(image_id, name))
            assert scene & {'water', 'road'} <= found <= scene
            # The class and its parts, and what is everywhere.
            assert not found & {name, 'haze', 'moon'}
            assert name != 'boat' or 'sail' not in found


def test_order_of_the_planted(planted, settings):
    """Usual company scores higher than the same text behind another class."""
    cache = extract_backgrounds(*planted.arguments, settings=settings)
    water = {
        name: [
            score
            for entry in cache.images.values()
            for text, score in entry.get(name, ())
            if text == 'water'
        ]
        for name in ('boat', 'car')
    }
    assert max(water['car']) < min(water['boat'][:15])


def test_only_pairs_of_class_and_allowed_text_are_encoded(planted, settings):
    encode = planted.arguments[-1]
    extract_backgrounds(*planted.arguments, settings=settings)
    assert 'a photo of boat and water.' in encode.texts
    assert 'a photo of boat and sail.' not in encode.texts


def test_prompts_may_call_classes_something_else(planted):
    encode = planted.arguments[-1]
    settings = ExtractionSettings(aliases={'boat': ('moon boat', 'ship')})
    cache = extract_backgrounds(*planted.arguments, settings=settings)
    assert 'a photo of moon boat.' in encode.texts
    assert 'a photo of moon boat and water.' in encode.texts
    assert 'a photo of boat and water.' not in encode.texts
    assert cache.classes == ('boat', 'car')


def test_other_labels(planted):
    """Both: the other class is company, or is not, as one likes."""
    both = planted.image_ids[45]
    texts = {}
    for choice in ('keep', 'drop'):
        settings = ExtractionSettings(
            present=0.5, floor=0.5, other_labels=choice
        )
        cache = extract_backgrounds(*planted.arguments, settings=settings)
        texts[choice] = set(cache.texts(both, 'car'))
    assert texts['keep'] - texts['drop'] == {'boat', 'sail'}
    assert texts['drop']


def test_absent_classes_are_never_named(planted):
    """However loudly CLIP says that there is a boat."""
    ids, views, labels, *rest = planted.arguments
    labels = labels.clone()
    labels[40:50, 0] = False
    settings = ExtractionSettings(present=-9, floor=-9)
    cache = extract_backgrounds(ids, views, labels, *rest, settings=settings)
    for image_id in ids[40:50]:
        assert 'boat' not in cache.texts(image_id, 'car')
        assert 'water' in cache.texts(image_id, 'car')


def test_top(planted):
    settings = ExtractionSettings(present=-9, floor=-9, top=2)
    cache = extract_backgrounds(*planted.arguments, settings=settings)
    for entry in cache.images.values():
        for found in entry.values():
            assert len(found) == 2
            assert found[0][1] >= found[1][1]


def test_more_texts_than_the_fixed_list():
    """As the report on CLIMS+ has it."""
    assert ExtractionSettings().top > len(background_lists()['voc'])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(template='a photo'), 'template=.* must have 1'),
        (dict(joint_template='{}'), 'joint_template=.* must have 2'),
        (dict(other_labels='all'), "other_labels='all' must be"),
        (dict(top=0), 'top=0'),
        (dict(smoothing=0), 'smoothing=0'),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        ExtractionSettings(**changes)


def test_waits_do_not_grow_with_texts_and_images(planted, settings):
    """Some for each class, none for each text that is found."""
    ids, views, labels, classes, vocabulary, encode = planted.arguments
    with pretend_cuda() as events:
        extract_backgrounds(
            ids,
            views.cuda(),
            labels,
            classes,
            vocabulary,
            lambda texts: encode(texts).cuda(),
            settings,
        )
        assert events.waits.total() <= 5 + 5 * len(classes), events.report()
