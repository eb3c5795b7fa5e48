import pytest
import torch

from mmseg_weakclip.models.refine.cam import (
    background_score,
    cam_to_seed,
    gate_by_labels,
    normalize_cam,
    two_threshold_seed,
)


def test_minmax_by_hand(device):
    cam = torch.tensor([[-2.0, 0.0], [2.0, 6.0]], device=device)
    expected = torch.tensor([[0.0, 0.25], [0.5, 1.0]], device=device)
    torch.testing.assert_close(normalize_cam(cam), expected)


def test_max_by_hand(device):
    cam = torch.tensor([[-2.0, 0.0], [2.0, 8.0]], device=device)
    expected = torch.tensor([[0.0, 0.0], [0.25, 1.0]], device=device)
    torch.testing.assert_close(normalize_cam(cam, mode='max'), expected)


@pytest.mark.parametrize('mode', ['minmax', 'max'])
@pytest.mark.parametrize('scale', [1e-12, 1.0, 1e12])
def test_each_map_by_itself_and_of_any_scale(device, mode, scale):
    cam = scale * torch.randn(2, 3, 5, 7).to(device)
    scaled = normalize_cam(cam, mode)
    assert (scaled.amax((2, 3)) == 1).all()
    assert (scaled.amin((2, 3)) == 0).all()
    torch.testing.assert_close(scaled[1, 2], normalize_cam(cam[1, 2], mode))
    torch.testing.assert_close(scaled, normalize_cam(cam / scale, mode))


def test_constant_maps_become_zero(device):
    for value in (0.0, 3.7, -3.7, 1e-30):
        cam = torch.full((1, 2, 4, 5), value, device=device)
        assert (normalize_cam(cam) == 0).all()
    # But for a rounding error, as after an interpolation.
    cam[..., 0] = 3.7
    cam[..., 1:] = 3.7 + 4e-7
    assert (normalize_cam(cam) == 0).all()
    assert (normalize_cam(-cam.abs(), mode='max') == 0).all()


def test_other_values_count_among_the_extremes(device):
    """A class token of 10 or -2 beside a map in 0..6, by hand."""
    cam = torch.tensor([[[0.0, 3.0]], [[0.0, 6.0]]], device=device)
    others = torch.tensor([[10.0], [-2.0]], device=device)
    expected = torch.tensor([[[0.0, 0.3]], [[0.25, 1.0]]], device=device)
    found = normalize_cam(cam, others=others)
    torch.testing.assert_close(found, expected)
    largest = torch.tensor([[[0.0, 0.3]], [[0.0, 1.0]]], device=device)
    found = normalize_cam(cam, 'max', others=others)
    torch.testing.assert_close(found, largest)
    # Between the extremes of a map they change nothing.
    found = normalize_cam(cam, others=torch.ones_like(others))
    assert torch.equal(found, normalize_cam(cam))


def test_nan_is_not_hidden():
    cam = torch.rand(1, 2, 3, 3)
    cam[0, 1, 1, 1] = float('nan')
    scaled = normalize_cam(cam)
    assert scaled[0, 0].isfinite().all()
    assert scaled[0, 1].isnan().any()


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match='softmax'):
        normalize_cam(torch.rand(2, 2), mode='softmax')


def test_absent_classes_are_zeroed(device):
    cam = torch.rand(3, 4, 2, 5).to(device) + 1
    cam[1, 0] = float('inf')
    before = cam.clone()
    gated = gate_by_labels(cam, [(0, 2), (3,), ()])
    assert torch.equal(cam, before)
    for image, labels in enumerate([(0, 2), (3,), ()]):
        for channel in range(4):
            expected = cam[image, channel] * (channel in labels)
            if channel in labels:
                assert torch.equal(gated[image, channel], expected)
            else:
                assert (gated[image, channel] == 0).all()


@pytest.mark.parametrize('label', [4, -1])
def test_labels_without_a_channel_are_named(label):
    with pytest.raises(ValueError, match=f'image 1 .* label {label}.*0..3'):
        gate_by_labels(torch.rand(2, 4, 3, 3), [(0,), (label,)])


def test_labels_must_be_as_many_as_images():
    with pytest.raises(ValueError, match='2 images.*1 sets'):
        gate_by_labels(torch.rand(2, 4, 3, 3), [(0,)])


def test_background_by_hand(device):
    cams = torch.tensor([0.2, 0.6], device=device).view(1, 2, 1, 1)
    assert background_score(cams, threshold=0.3).item() == pytest.approx(0.3)
    for power in (0.5, 1, 2.5):
        score = background_score(cams, power=power)
        assert score.shape == (1, 1, 1, 1)
        assert score.item() == pytest.approx(0.4**power)


def test_background_of_a_map_over_one_is_finite():
    cams = torch.full((1, 1, 2, 2), 1 + 1e-6)
    assert (background_score(cams, power=0.5) == 0).all()


@pytest.mark.parametrize('kwargs', [{}, dict(threshold=0.3, power=1)])
def test_background_is_either_or(kwargs):
    with pytest.raises(ValueError, match='either threshold or power'):
        background_score(torch.rand(1, 2, 3, 3), **kwargs)


def test_power_of_the_background_must_be_positive():
    with pytest.raises(ValueError, match='power must be > 0, got 0'):
        background_score(torch.rand(1, 2, 3, 3), power=0)


def test_seed_is_the_best_class(device):
    scores = torch.rand(2, 4, 3, 5).to(device)
    seed = cam_to_seed(scores)
    assert seed.dtype == torch.int64
    assert torch.equal(seed, scores.argmax(1))


def test_ties_go_to_the_background(device):
    cams = torch.full((1, 2, 2, 2), 0.4, device=device)
    scores = torch.cat([background_score(cams, threshold=0.4), cams], 1)
    assert (cam_to_seed(scores) == 0).all()


def test_unsure_pixels_are_ignored(device):
    scores = torch.tensor([[0.94, 0.95, 0.01], [0.06, 0.05, 0.99]])
    scores = scores.view(1, 2, 1, 3).to(device)
    seed = cam_to_seed(scores, min_confidence=0.95)
    assert seed.tolist() == [[[255, 0, 1]]]
    seed = cam_to_seed(scores, min_confidence=0.95, ignore_index=9)
    assert seed.tolist() == [[[9, 0, 1]]]


def test_two_thresholds_by_hand(device):
    cams = torch.tensor(
        [[0.125, 0.25, 0.375, 0.5, 0.75], [0.0, 0.25, 0.875, 0.5, 0.625]]
    )
    cams = cams.view(1, 2, 1, 5).to(device)
    seed = two_threshold_seed(cams, low=0.25, high=0.5)
    assert seed.tolist() == [[[0, 0, 2, 255, 1]]]


def test_two_thresholds_bound_the_plain_seed(device):
    cams = torch.rand(2, 3, 6, 7).to(device)
    low = background_score(cams, power=12)
    high = background_score(cams, power=1)
    banded = two_threshold_seed(cams, low, high)
    for score in (low, high):
        plain = cam_to_seed(torch.cat([score, cams], 1))
        sure = banded != 255
        assert torch.equal(banded[sure], plain[sure])
        assert torch.equal(two_threshold_seed(cams, score, score), plain)
    assert not sure.all()


def test_swapped_thresholds_are_refused():
    with pytest.raises(ValueError, match='swapped'):
        two_threshold_seed(torch.rand(1, 2, 3, 3), low=0.6, high=0.2)
