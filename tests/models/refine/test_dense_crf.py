import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretend_cuda import pretend_cuda

from mmseg_weakclip.models.refine import mean_field as crf_messages
from mmseg_weakclip.models.refine.crf_params import CRFParams
from mmseg_weakclip.models.refine.dense_crf import dense_crf, dense_crf_image
from mmseg_weakclip.models.refine.mean_field import crf_kernels, mean_field

TORCH_BACKENDS = ('torch-lattice', 'torch-exact')
PARAMS = CRFParams(
    iterations=5,
    gaussian_sxy=1.5,
    gaussian_compat=2.0,
    bilateral_sxy=6.0,
    bilateral_srgb=30.0,
    bilateral_compat=4.0,
)


def random_case(device, batch=2, classes=3, height=9, width=13):
    """Smooth images and smooth probabilities."""
    images = 255 * torch.rand(batch, 3, 4, 4)
    images = F.interpolate(images, (height, width), mode='bilinear')
    logits = 2 * torch.randn(batch, classes, 4, 4)
    probs = F.interpolate(logits, (height, width), mode='bilinear').softmax(1)
    return images.to(device), probs.to(device)


def naive_crf(images, probs, params):
    """Mean field of one image, from the formulas, pixel by pixel pair."""
    _, height, width = images.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    colour = images.double().cpu().numpy().reshape(3, -1)
    place = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    tint = ((colour[:, :, None] - colour[:, None]) ** 2).sum(0)
    spatial = 2 * (params.gaussian_sxy / params.scale_factor) ** 2
    far = 2 * (params.bilateral_sxy / params.scale_factor) ** 2
    kernel = np.zeros_like(place)
    for weight, exponent in (
        (params.gaussian_compat, place / spatial),
        (
            params.bilateral_compat,
            place / far + tint / (2 * params.bilateral_srgb**2),
        ),
    ):
        part = np.exp(-exponent)
        norm = part.sum(1) ** -0.5
        kernel += weight * norm[:, None] * part * norm
    p = probs.double().cpu().numpy().reshape(len(probs), -1).clip(1e-5, 1)
    q = p / p.sum(0)
    for _ in range(params.iterations):
        q = p * np.exp(q @ kernel)
        q /= q.sum(0)
    return torch.from_numpy(q.reshape(probs.shape)).float()


@pytest.mark.parametrize(
    'params',
    [
        PARAMS,
        CRFParams(**{**vars(PARAMS), 'scale_factor': 2.0}),
        CRFParams(**{**vars(PARAMS), 'gaussian_compat': 0.0}),
        CRFParams(**{**vars(PARAMS), 'bilateral_compat': 0.0}),
    ],
)
def test_exact_form_is_the_definition(device, params):
    images, probs = random_case(device)
    q = dense_crf(images, probs, params, 'torch-exact')
    for index in range(2):
        expected = naive_crf(images[index], probs[index], params)
        torch.testing.assert_close(
            q[index].cpu(), expected, atol=1e-5, rtol=1e-4
        )


def test_lattice_form_is_close_to_the_definition(device):
    images, probs = random_case(device, height=24, width=32)
    q = dense_crf(images, probs, PARAMS, 'torch-lattice')
    for index in range(2):
        expected = naive_crf(images[index], probs[index], PARAMS)
        assert (q[index].cpu() - expected).abs().mean() < 0.02


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_no_iterations_give_the_clipped_normalised_probabilities(
    device, backend
):
    probs = torch.tensor([0.0, 0.5, 1.5], device=device)
    probs = probs.view(1, 3, 1, 1).expand(1, 3, 4, 5)
    images = torch.zeros(1, 3, 4, 5, device=device)
    q = dense_crf(images, probs, dict(iterations=0), backend)
    expected = torch.tensor([1e-5, 0.5, 1.0], device=device)
    expected = (expected / expected.sum()).view(1, 3, 1, 1).expand_as(q)
    torch.testing.assert_close(q, expected)


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_two_pixels_by_hand(device, backend):
    """Equal pixels far from each other in colour: K is the identity."""
    images = torch.zeros(1, 3, 1, 2, device=device)
    images[..., 1] = 255
    probs = torch.tensor([[0.8, 0.4], [0.2, 0.6]], device=device)
    params = dict(
        iterations=1, gaussian_compat=0, bilateral_srgb=1, bilateral_compat=2
    )
    q = dense_crf(images, probs.view(1, 2, 1, 2), params, backend)
    expected = (probs.log() + 2 * probs).softmax(0).view(1, 2, 1, 2)
    torch.testing.assert_close(q, expected)


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_labels_snap_to_the_edge_of_the_image(device, backend):
    images = torch.zeros(1, 3, 16, 24, device=device)
    images[..., 10:] = 200
    ramp = torch.linspace(0.05, 0.95, 24, device=device).expand(16, 24)
    probs = torch.stack([1 - ramp, ramp])[None]
    q = dense_crf(images, probs, 'weakclip_train', backend)
    assert (q[0, 1, :, 10:] > 0.5).all()
    assert (q[0, 1, :, :10] < 0.5).all()
    # The ramp itself changes sides two columns later.
    assert (probs[0, 1, :, 10] < 0.5).all()


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_images_of_a_batch_are_independent(device, backend):
    images, probs = random_case(device, batch=3)
    together = dense_crf(images, probs, PARAMS, backend)
    for index in range(3):
        one = slice(index, index + 1)
        alone = dense_crf(images[one], probs[one], PARAMS, backend)
        torch.testing.assert_close(together[one], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_memory_bound_changes_no_result(device, backend):
    images, probs = random_case(device, batch=3)
    expected = dense_crf(images, probs, PARAMS, backend)
    for max_bytes in (1, 20_000, 200_000):
        q = dense_crf(images, probs, PARAMS, backend, max_bytes)
        torch.testing.assert_close(q, expected, atol=1e-6, rtol=0)


def test_exact_form_keeps_to_its_memory_bound(monkeypatch):
    largest = []
    rows = crf_messages._rows

    def watched(points, block):
        result = rows(points, block)
        largest.append(4 * result.numel())
        return result

    monkeypatch.setattr(crf_messages, '_rows', watched)
    images, probs = random_case('cpu', batch=4, height=20, width=20)
    dense_crf(images, probs, PARAMS, 'torch-exact', max_bytes=100_000)
    # A full kernel would take 640 kB.
    assert max(largest) <= 100_000 // 8


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_result_is_a_float32_distribution_without_graph(device, backend):
    images, probs = random_case(device)
    probs.requires_grad_()
    q = dense_crf(images.byte(), probs.half(), PARAMS, backend)
    assert q.dtype == torch.float32
    assert q.device == probs.device
    assert not q.requires_grad
    torch.testing.assert_close(q.sum(1), torch.ones_like(q[:, 0]))


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_inputs_stay_as_they_are(device, backend):
    images, probs = random_case(device)
    before = images.clone(), probs.clone()
    dense_crf(images, probs, PARAMS, backend)
    assert torch.equal(images, before[0])
    assert torch.equal(probs, before[1])


@pytest.mark.parametrize('backend', TORCH_BACKENDS)
def test_autocast_changes_nothing(device, backend):
    images, probs = random_case(device)
    expected = dense_crf(images, probs, PARAMS, backend)
    with torch.autocast(device.type, torch.bfloat16):
        q = dense_crf(images, probs, PARAMS, backend)
    assert torch.equal(q, expected)


def test_auto_is_the_lattice_and_says_so_once(monkeypatch, device):
    module = sys.modules[dense_crf.__module__]
    messages = []

    class Logger:
        @staticmethod
        def get_current_instance():
            return Logger()

        def info(self, message):
            messages.append(message)

    monkeypatch.setattr(module, 'MMLogger', Logger)
    module._log_choice.cache_clear()
    images, probs = random_case(device)
    q = dense_crf(images, probs, PARAMS)
    again = dense_crf(images, probs, PARAMS, backend='auto')
    expected = dense_crf(images, probs, PARAMS, backend='torch-lattice')
    assert torch.equal(q, expected)
    assert torch.equal(q, again)
    assert len(messages) == 1
    assert 'torch-lattice' in messages[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_exact_form_never_waits_for_the_device():
    images, probs = random_case('cuda')
    unary = -probs.log().flatten(2).transpose(1, 2)
    kernels = crf_kernels(images, PARAMS)
    torch.cuda.set_sync_debug_mode('error')
    try:
        messages = crf_messages.ExactMessages(kernels, 2**30)
        mean_field(unary, messages, PARAMS.iterations)
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_one_class_and_one_pixel(device):
    for shape in ((1, 6, 7), (3, 1, 1)):
        probs = torch.rand(1, *shape, device=device)
        images = torch.zeros(1, 3, *shape[1:], device=device)
        for backend in TORCH_BACKENDS:
            q = dense_crf(images, probs, PARAMS, backend)
            torch.testing.assert_close(q.sum(1), torch.ones_like(q[:, 0]))


def test_numpy_image_in_a_process_pool():
    images, probs = random_case('cpu', batch=1)
    images = images.byte()
    expected = dense_crf(images, probs, PARAMS)[0].numpy()
    # Seen from the BGR side: a view with negative strides.
    image = images[0].permute(1, 2, 0).numpy()[..., ::-1].copy()[..., ::-1]
    q = dense_crf_image(image, probs[0].numpy(), PARAMS)
    np.testing.assert_array_equal(q, expected)
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        job = pool.submit(dense_crf_image, image, probs[0].numpy(), PARAMS)
        np.testing.assert_allclose(job.result(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((2, 4, 9, 13), r'RGB.*\(2, 4, 9, 13\)'),
        ((3, 9, 13), r'RGB.*\(3, 9, 13\)'),
        ((2, 3, 9, 12), r'\(2, 3, 9, 12\).*\(2, 3, 9, 13\)'),
        ((1, 3, 9, 13), r'\(1, 3, 9, 13\).*differ in batch'),
    ],
)
def test_image_shapes_are_checked(shape, message):
    _, probs = random_case('cpu')
    with pytest.raises(ValueError, match=message):
        dense_crf(torch.zeros(shape), probs, PARAMS)


@pytest.mark.parametrize('shape', [(3, 9, 13), (2, 0, 9, 13), (0, 3, 9, 13)])
def test_probability_shapes_are_checked(shape):
    images, _ = random_case('cpu')
    with pytest.raises(ValueError, match='probs must have shape'):
        dense_crf(images, torch.zeros(shape), PARAMS)


@pytest.mark.parametrize('value', [float('nan'), -0.1, float('inf')])
def test_bad_probabilities_name_value_and_image(device, value):
    images, probs = random_case(device)
    probs[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=rf'{value:.4g}.* image\(s\) \[1\]'):
        dense_crf(images, probs, PARAMS)


@pytest.mark.parametrize('value', [float('nan'), -2.1, 300.0])
def test_images_that_are_not_rgb_0_255_are_refused(device, value):
    images, probs = random_case(device)
    images[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match='0..255.*normalisation'):
        dense_crf(images, probs, PARAMS)


def test_unknown_names_are_listed():
    images, probs = random_case('cpu')
    with pytest.raises(ValueError, match='numpy.*torch-lattice'):
        dense_crf(images, probs, PARAMS, backend='numpy')
    with pytest.raises(ValueError, match='voc13.*voc12'):
        dense_crf(images, probs, 'voc13')


def test_missing_extra_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf.densecrf', None)
    images, probs = random_case('cpu')
    with pytest.raises(ImportError, match=r'mmseg_weakclip\[crf\]'):
        dense_crf(images, probs, PARAMS, backend='pydensecrf')
    dense_crf(images, probs, PARAMS)


def test_benchmark_prints_its_table(repo):
    command = [
        sys.executable,
        str(repo / 'benchmarks/dense_crf.py'),
        *('--sizes', '8x12', '--classes', '2', '--batch', '2'),
        *('--repeats', '1', '--threads', '1', '--backends', 'torch-lattice'),
    ]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, 'PYTHONPATH': str(repo)},
    )
    rows = [line for line in run.stdout.splitlines() if '8 x 12' in line]
    assert len(rows) == 1


def test_lattice_of_places_is_kept(device, monkeypatch):
    """For each size, batch, deviation and weight, and up to a size."""
    built = []

    def count(features, compat):
        built.append((tuple(features.shape), compat))
        return scaled_lattice(features, compat)

    scaled_lattice = crf_messages.scaled_lattice
    monkeypatch.setattr(crf_messages, 'scaled_lattice', count)
    crf_messages._kept_lattice.cache_clear()
    images, probs = random_case(device)
    first = dense_crf(images, probs, PARAMS)
    places, colours = ((2, 117, 2), 2.0), ((2, 117, 5), 4.0)
    assert built == [places, colours]
    assert torch.equal(dense_crf(images, probs, PARAMS), first)
    assert built == [places, colours, colours]
    dense_crf(images[:1], probs[:1], PARAMS)
    assert built[3:] == [((1, 117, 2), 2.0), ((1, 117, 5), 4.0)]
    # Images of another shape with as many pixels have other places.
    turned = dense_crf(images.mT, probs.mT, PARAMS)
    assert built[5:] == [places, colours]
    # The lattice is not symmetric in its axes.
    assert (turned.mT - first).abs().mean() < 0.1
    monkeypatch.setattr(crf_messages, 'MAX_KEPT_PIXELS', 2 * 117 - 1)
    assert torch.equal(dense_crf(images, probs, PARAMS), first)
    assert built[7:] == [places, colours]
    crf_messages._kept_lattice.cache_clear()


def test_waits_of_a_crf():
    """The check of the values, and two for the lattice of the colours."""
    with pretend_cuda() as events:
        images, probs = random_case('cuda')
        dense_crf(images, probs, PARAMS)
        events.clear()
        dense_crf(images, probs, PARAMS)
        assert events.waits.total() == 3
        assert not events.uploads
    crf_messages._kept_lattice.cache_clear()
