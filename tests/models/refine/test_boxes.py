import pytest
import torch
from pretend_cuda import pretend_cuda

from mmseg_weakclip.models.refine.boxes import box_mask

BACKENDS = ('cv2', 'torch')


def draw(text):
    """Lines of '.' and '#' as a (1, h, w) map of 0 and 1."""
    rows = [[float(c == '#') for c in line] for line in text.split()]
    return torch.tensor(rows)[None]


@pytest.mark.parametrize('backend', BACKENDS)
def test_boxes_by_hand(device, backend):
    """An L, a diagonal (8-connected) and a single pixel at the corner."""
    cam = draw("""
        #.......
        #....#..
        ###.#...
        ........
        .......#
    """)
    expected = draw("""
        ###.....
        ###.##..
        ###.##..
        ........
        .......#
    """)
    mask = box_mask(cam.to(device), 0.4, backend)
    assert mask.dtype == torch.bool
    assert torch.equal(mask.cpu(), expected.bool())


@pytest.mark.parametrize('backend', BACKENDS)
def test_whole_map_keeps_its_last_row_and_column(device, backend):
    cam = torch.ones(2, 5, 7, device=device)
    assert box_mask(cam, 0.7, backend).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_threshold_is_relative_to_each_map_and_strict(device, backend):
    cam = torch.tensor([[1.0, 0.5, 0.25, 0.125]], device=device)
    cam = torch.stack([cam, 100 * cam])
    for threshold, expected in (
        (0.5, [True, False, False, False]),
        (0.4, [True, True, False, False]),
        (0.0, [True, True, True, True]),
    ):
        mask = box_mask(cam, threshold, backend)
        assert mask[:, 0].tolist() == [expected, expected]


@pytest.mark.parametrize('backend', BACKENDS)
def test_maps_without_a_positive_value_have_no_box(device, backend):
    cam = torch.stack([torch.zeros(4, 5), -torch.rand(4, 5) - 0.1])
    assert not box_mask(cam.to(device), 0.4, backend).any()


@pytest.mark.parametrize('shape', [(14, 14), (9, 16), (1, 7), (7, 1), (1, 1)])
def test_both_ways_are_the_same(device, shape):
    for density in (0.1, 0.3, 0.5, 0.8):
        cam = (torch.rand(4, 5, *shape) < density).float().to(device)
        ours = box_mask(cam, 0.4, 'torch')
        assert torch.equal(ours, box_mask(cam, 0.4, 'cv2'))
        assert torch.equal(ours[2], box_mask(cam[2], 0.4))


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('size', [(9, 9), (10, 12), (13, 6)])
def test_longest_path_is_walked_to_its_end(device, backend, size):
    """A snake: every other row, joined at alternating ends."""
    cam = torch.zeros(1, *size)
    cam[:, ::2] = 1
    cam[:, 1::4, -1] = 1
    cam[:, 3::4, 0] = 1
    assert box_mask(cam.to(device), 0.4, backend).all()


@pytest.mark.skipif(
    torch.cuda.is_available(),
    reason='waits are counted on the pretended device, not on a real one',
)
def test_looks_of_a_device_are_rare():
    """2,399 steps may be needed at 60 x 80, but 20 are enough here."""
    cam = torch.zeros(1, 60, 80)
    cam[:, 10:30, 10:21] = 1
    with pretend_cuda() as events:
        boxes = box_mask(cam.to('cuda'), 0.4)
        looks = sum(
            count
            for (line, what), count in events.waits.items()
            if line.startswith('models/refine/boxes.py')
        )
        assert torch.equal(boxes.cpu(), box_mask(cam, 0.4))
    assert looks == 2
    assert events.of_package('launches').total() < 150


def test_number_of_steps_is_enough_without_an_early_end(monkeypatch):
    """A box that grows to the last step is not cut short by a look."""
    monkeypatch.setattr(torch, 'equal', lambda a, b: False)
    cam = torch.zeros(1, 11, 11)
    cam[:, ::2] = 1
    cam[:, 1::4, -1] = 1
    cam[:, 3::4, 0] = 1
    assert box_mask(cam, 0.4, 'torch').all()


def test_bad_arguments_are_named():
    cam = torch.rand(2, 3, 4)
    with pytest.raises(ValueError, match=r'\(3, 4\)'):
        box_mask(cam[0], 0.4)
    with pytest.raises(ValueError, match='got 1.0'):
        box_mask(cam, 1.0)
    with pytest.raises(ValueError, match='scipy'):
        box_mask(cam, 0.4, 'scipy')


@pytest.mark.parametrize('backend', BACKENDS)
def test_published_boxes_by_hand(device, backend):
    """An L, and a box at the corner that loses its last row and column."""
    cam = draw("""
        #.......
        #.......
        ###...##
        ......##
    """)
    expected = draw("""
        ###.....
        ###.....
        ###...#.
        ........
    """)
    mask = box_mask(cam.to(device), 0.4, backend, published=True)
    assert torch.equal(mask.cpu(), expected.bool())


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize(
    ('threshold', 'edge'), [(0.79, 202), (0.88, 225), (0.4, 103), (0.7, 179)]
)
def test_published_thresholds_in_8_bits(device, backend, threshold, edge):
    """floor(255 m) > int(255 t), that is m >= (int(255 t) + 1) / 255."""
    assert edge == int(255 * threshold) + 1
    values = torch.tensor([edge - 0.01, edge, 255.0, 0.0]) / 255
    cam = torch.zeros(1, 2, 5, device=device)
    # Apart from each other, so that each pixel has its own box.
    cam[0, 0, 0], cam[0, 0, 2] = values[0], values[2]
    below = box_mask(cam, threshold, backend, published=True)
    assert below[0, 0].tolist() == [False, False, True, False, False]
    cam[0, 0, 0] = values[1] + 1e-6
    above = box_mask(cam, threshold, backend, published=True)
    assert above[0, 0].tolist() == [True, False, True, False, False]


def test_published_thresholds_are_relative_to_the_map(device):
    cam = torch.zeros(1, 2, 4, device=device)
    cam[0, 0, 0], cam[0, 0, 2] = 100.5 / 255, 40.2 / 255
    # int(.4 * 100) = 40 is not exceeded by 40.
    mask = box_mask(cam, 0.4, published=True)
    assert mask[0, 0].tolist() == [True, False, False, False]
    cam[0, 0, 2] = 41.2 / 255
    mask = box_mask(cam, 0.4, published=True)
    assert mask[0, 0].tolist() == [True, False, True, False]
