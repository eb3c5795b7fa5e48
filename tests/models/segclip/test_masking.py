import pytest
import torch

from mmseg_weakclip.models.segclip.masking import (
    count_visible,
    cut_pixels,
    normalize_patches,
    random_order,
    take_patches,
)


@pytest.mark.parametrize(
    ('patches', 'ratio', 'visible'),
    [
        (196, 0.75, 49),
        (100, 0.75, 25),
        (15, 0.75, 4),  # 3.75
        (17, 0.75, 4),  # 4.25
        (10, 0.99, 1),  # never none
        (10, 0.01, 9),  # never all
        (2, 0.75, 1),
    ],
)
def test_number_of_visible_patches(patches, ratio, visible):
    assert count_visible(patches, ratio) == visible


def test_one_patch_can_not_be_split():
    with pytest.raises(ValueError, match='an image of 1 patch.*enlarge'):
        count_visible(1, 0.75)


def test_order_is_a_permutation_for_each_image(device):
    order = random_order(4, 30, device)
    assert order.device.type == device.type
    for row in order.tolist():
        assert sorted(row) == list(range(30))
    assert len({tuple(row) for row in order.tolist()}) == 4


def test_order_comes_from_torchs_generator():
    first = random_order(2, 30)
    assert not torch.equal(first, random_order(2, 30))
    torch.manual_seed(0)
    assert torch.equal(first, random_order(2, 30))


def test_every_place_is_visible_as_often():
    order = random_order(4000, 8)
    counts = order[:, :2].flatten().bincount(minlength=8)
    # 1000 expected, standard deviation 27.
    assert ((counts - 1000).abs() < 140).all()


def test_patches_are_taken_image_by_image():
    patches = torch.arange(24.0).reshape(2, 4, 3)
    taken = take_patches(patches, torch.tensor([[3, 0], [1, 2]]))
    assert taken.tolist() == [
        [[9, 10, 11], [0, 1, 2]],
        [[15, 16, 17], [18, 19, 20]],
    ]


def test_pixels_by_hand():
    """One row of two patches of 2 x 2, and what is past them."""
    red = torch.tensor([[0.0, 1, 2, 3, 8], [4, 5, 6, 7, 8], [9, 9, 9, 9, 9]])
    image = torch.stack([red, red + 10, red + 20])[None]
    pixels = cut_pixels(image, (1, 2), 2)
    assert pixels.tolist() == [
        [
            [0, 10, 20, 1, 11, 21, 4, 14, 24, 5, 15, 25],
            [2, 12, 22, 3, 13, 23, 6, 16, 26, 7, 17, 27],
        ]
    ]


def test_pixels_go_back_to_their_places():
    images = torch.randn(2, 3, 41, 27)
    pixels = cut_pixels(images, (5, 3), 8)
    back = torch.zeros(2, 3, 40, 24)
    for place in range(15):
        row, column = divmod(place, 3)
        back[..., 8 * row : 8 * (row + 1), 8 * column : 8 * (column + 1)] = (
            pixels[:, place].reshape(2, 8, 8, 3).permute(0, 3, 1, 2)
        )
    assert torch.equal(back, images[..., :40, :24])


def test_normalized_patches():
    pixels = torch.tensor([[[1.0, 2, 3], [5, 5, 5], [0, 300, 600]]])
    expected = [[[-1.0, 0, 1], [0, 0, 0], [-1, 0, 1]]]
    torch.testing.assert_close(
        normalize_patches(pixels), torch.tensor(expected)
    )
