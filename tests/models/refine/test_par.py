import math

import pytest
import torch
from pretend_cuda import pretend_cuda

from mmseg_weakclip.models.refine import par
from mmseg_weakclip.models.refine.par import refine_by_pixels


def naive(
    image, scores, iterations, dilations, width=0.3, weight=0.01, power=2,
    own_colors=False,
):  # fmt: skip
    """One image, one pixel, one tap at a time; lists of numbers."""
    channels, height, columns = image.shape
    taps = [
        (d * dy, d * dx)
        for d in dilations
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if dy or dx
    ]

    def at(x, y, column):
        return x[
            :, min(max(y, 0), height - 1), min(max(column, 0), columns - 1)
        ]

    radius = torch.tensor([math.hypot(*tap) for tap in taps])
    place = (-((radius / (radius.std() + 1e-8) / width) ** 2)).softmax(0)
    for _ in range(iterations):
        mixed = torch.zeros_like(scores)
        for y in range(height):
            for x in range(columns):
                near = torch.stack(
                    [at(image, y + dy, x + dx) for dy, dx in taps]
                )
                own = [image[:, y, x][None]] * len(dilations)
                window = torch.cat([near, *(own if own_colors else [])])
                deviation = window.std(0) + 1e-8
                away = (near - image[:, y, x]).abs() / deviation / width
                color = (-(away**power)).mean(1).softmax(0)
                around = torch.stack(
                    [at(scores, y + dy, x + dx) for dy, dx in taps]
                )
                each = (color + weight * place) / (1 + weight)
                mixed[:, y, x] = (each[:, None] * around).sum(0)
        scores = mixed
    return scores


FORMS = ('shifts', 'rows')


@pytest.fixture
def images(device):
    return torch.rand(2, 3, 7, 9, device=device) * 255


@pytest.mark.parametrize('form', FORMS)
def test_equals_one_pixel_at_a_time(images, device, form):
    scores = torch.rand(2, 4, 7, 9, device=device)
    ours = refine_by_pixels(images, scores, 3, (1, 2, 12), form=form)
    for index in range(2):
        expected = naive(
            images[index].cpu(), scores[index].cpu(), 3, (1, 2, 12)
        )
        assert torch.allclose(ours[index].cpu(), expected, atol=1e-5)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('own_colors', [False, True])
@pytest.mark.parametrize('power', [1, 2])
def test_other_similarities(images, device, form, power, own_colors):
    scores = torch.rand(2, 4, 7, 9, device=device)
    options = dict(power=power, own_colors=own_colors)
    ours = refine_by_pixels(
        images, scores, 2, (1, 12), position_weight=0.3, form=form, **options
    )
    for index in range(2):
        expected = naive(
            images[index].cpu(), scores[index].cpu(), 2, (1, 12), weight=0.3,
            **options,
        )  # fmt: skip
        assert torch.allclose(ours[index].cpu(), expected, atol=1e-5)


def test_pamr(images, device):
    """By the formula: ten rounds of 16 neighbours, no place, no squares."""
    scores = torch.rand(2, 4, 7, 9, device=device)
    ours = refine_by_pixels(images, scores, **par.PAMR_OPTIONS)
    expected = naive(
        images[0].cpu(), scores[0].cpu(), 10, (8, 16), 0.1, 0.0, 1, True
    )
    assert torch.allclose(ours[0].cpu(), expected, atol=1e-5)


def test_presets(images, device):
    scores = torch.rand(2, 4, 7, 9, device=device)
    given = dict(iterations=2)
    assert par.resolve_par(given) == given
    for name, options in (('par', {}), ('pamr', par.PAMR_OPTIONS)):
        assert par.resolve_par(name) == dict(options)
        refine_by_pixels(images, scores, **par.resolve_par(name))
    with pytest.raises(ValueError, match="no PAR 'crf'; choose one of"):
        par.resolve_par('crf')


@pytest.mark.parametrize('channels', [1, 3, 9])
def test_forms_are_equal(images, device, channels):
    scores = torch.rand(2, channels, 4, 5, device=device)
    shifts, rows, auto = (
        refine_by_pixels(images, scores, form=form)
        for form in (*FORMS, 'auto')
    )
    assert torch.allclose(shifts, rows, atol=1e-5)
    assert torch.allclose(shifts, auto, atol=1e-5)
    assert rows.is_contiguous()


def test_weights_of_many_pixels_are_found_in_parts(monkeypatch, device):
    images = 255 * torch.rand(2, 3, 7, 9, device=device)
    index = par._row_neighbours(images, (1, 3))
    similarity = par.Similarity(0.3, 2, own_colors=False)
    whole = par._weigh_rows(images, index, similarity)
    monkeypatch.setattr(par, 'CHUNK', 10)
    assert torch.equal(whole, par._weigh_rows(images, index, similarity))
    shifts = par._to_rows(par._weigh_shifts(images, (1, 3), similarity))
    assert torch.allclose(whole, shifts, atol=1e-5)


@pytest.mark.parametrize('missing', [0, 1])
def test_choice_of_the_form(monkeypatch, device, missing):
    """Rows on a GPU, if the table of neighbours is small enough."""
    monkeypatch.setattr(par, 'MAX_NEIGHBOURS', 2 * 7 * 9 * 48 - missing)
    images = torch.zeros(2, 3, 7, 9, device=device)
    rows = images.device.type == 'cuda' and not missing
    assert par._fastest_form(images, 6) == ('rows' if rows else 'shifts')


def test_form_of_a_gpu_has_few_launches():
    """And nothing is uploaded or waited for from the second call on."""
    with pretend_cuda() as events:
        images = 255 * torch.rand(2, 3, 7, 9, device='cuda')
        scores = torch.rand(2, 3, 7, 9, device='cuda')
        refine_by_pixels(images, scores)
        events.clear()
        refine_by_pixels(images, scores, iterations=20)
        assert not events.uploads
        assert not events.waits
        assert events.launches.total() < 80
        events.clear()
        refine_by_pixels(images, scores, iterations=20, form='shifts')
        assert events.launches.total() > 1000


def test_iterations_can_be_compiled(monkeypatch):
    """Without its backend, which takes half a minute and a compiler."""
    images = 255 * torch.rand(2, 3, 7, 9)
    graphs = []

    def count(graph, example):
        graphs.append(graph)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(
        torch,
        'compile',
        lambda function: compile_(function, backend=count, fullgraph=True),
    )
    par._compiled.cache_clear()
    scores = torch.rand(2, 3, 7, 9)
    ours = refine_by_pixels(images, scores, form='compiled')
    par._compiled.cache_clear()
    assert torch.allclose(ours, refine_by_pixels(images, scores), atol=1e-6)
    # One for the weights, one for all iterations.
    assert len(graphs) == 2


def test_constants_and_sums_stay(images, device):
    scores = torch.full((2, 1, 7, 9), 0.5, device=device)
    ours = refine_by_pixels(images, scores)
    assert torch.allclose(ours, scores, rtol=1e-5)
    probs = torch.rand(2, 4, 7, 9, device=device).softmax(1)
    sums = refine_by_pixels(images, probs).sum(1)
    assert torch.allclose(sums, torch.ones_like(sums), rtol=1e-5)


def test_scale_and_shift_of_an_image_change_nothing(images, device):
    scores = torch.rand(2, 3, 7, 9, device=device)
    ours = refine_by_pixels(images, scores)
    scale = torch.tensor([1 / 255, 3.0, 0.1], device=device)[:, None, None]
    other = refine_by_pixels(images * scale - 1, scores)
    assert torch.allclose(ours, other, atol=1e-4)


def test_linear_in_the_scores_and_classes_are_alone(images, device):
    a, b = torch.rand(2, 2, 3, 7, 9, device=device)
    both = refine_by_pixels(images, 2 * a - b)
    apart = 2 * refine_by_pixels(images, a) - refine_by_pixels(images, b)
    assert torch.allclose(both, apart, atol=1e-5)
    first = refine_by_pixels(images, a[:, :1])
    assert torch.allclose(first, refine_by_pixels(images, a)[:, :1], atol=1e-6)


def test_follows_an_edge(device):
    """A seed on one side of an edge fills that side and stops there."""
    images = torch.zeros(1, 3, 40, 60, device=device)
    images[..., 30:] = 200
    images += torch.randn_like(images)
    scores = torch.zeros(1, 1, 40, 60, device=device)
    scores[..., 10:30, 14:26] = 1
    refined = refine_by_pixels(images, scores)[0, 0]
    left, right = refined[:, :29], refined[:, 31:]
    # Position alone lets a hundredth of the weight pass, each time.
    assert right.mean() < 0.1 * left.mean()
    assert left.min() > right.max()
    assert left[:10].mean() > 0.02  # where there was none


def test_batch_of_one_equals_batch(images, device):
    scores = torch.rand(2, 3, 7, 9, device=device)
    together = refine_by_pixels(images, scores)
    for index in range(2):
        part = slice(index, index + 1)
        alone = refine_by_pixels(images[part], scores[part])
        assert torch.allclose(alone[0], together[index], atol=1e-6)


def test_small_maps_are_resized(images, device):
    scores = torch.rand(2, 3, 3, 4, device=device)
    large = torch.nn.functional.interpolate(scores, (7, 9), mode='bilinear')
    ours = refine_by_pixels(images, scores)
    assert ours.shape == (2, 3, 7, 9)
    assert torch.equal(ours, refine_by_pixels(images, large))


def test_flat_images_are_finite(device):
    images = torch.full((1, 3, 6, 5), 17.0, device=device)
    ours = refine_by_pixels(images, torch.rand(1, 2, 6, 5, device=device))
    assert torch.isfinite(ours).all()


def test_float32_without_a_graph(images, device):
    scores = torch.rand(2, 3, 7, 9, device=device, requires_grad=True)
    with torch.autocast(device.type, torch.bfloat16):
        ours = refine_by_pixels(images.bfloat16(), scores)
    assert ours.dtype == torch.float32
    assert not ours.requires_grad


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(iterations=-1), 'iterations=-1'),
        (dict(dilations=()), r'dilations=\(\)'),
        (dict(dilations=(0, 1)), r'dilations=\(0, 1\)'),
        (dict(width=0), 'width=0'),
        (dict(form='fast'), "form='fast' must be one of"),
    ],
)
def test_bad_values(images, options, message):
    with pytest.raises(ValueError, match=message):
        refine_by_pixels(images, images[:, :1], **options)


def test_batches_that_differ(images):
    with pytest.raises(ValueError, match=r'\(1, 3, 7, 9\) need as many'):
        refine_by_pixels(images, images[:1])


def test_maps_of_zeros_stay_zero(images, device):
    """Also beside images that have the class."""
    scores = torch.rand(2, 3, 7, 9, device=device)
    scores[0, 1] = scores[1, 2] = 0
    together = refine_by_pixels(images, scores)
    assert not together[0, 1].any()
    assert not together[1, 2].any()
    for index in range(2):
        one = slice(index, index + 1)
        alone = refine_by_pixels(images[one], scores[one])
        assert torch.allclose(together[one], alone, atol=1e-6)
