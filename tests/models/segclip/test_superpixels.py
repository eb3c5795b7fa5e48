from collections import Counter

import pytest
import torch

from mmseg_weakclip.models.segclip.regions import pool_superpixels


def naive(superpixels, grid, patch_size):
    """Count the ids of each patch."""
    found = []
    for image in superpixels.tolist():
        for row in range(grid[0]):
            for column in range(grid[1]):
                rows = image[row * patch_size : (row + 1) * patch_size]
                left = column * patch_size
                counts = Counter(
                    pixel
                    for line in rows
                    for pixel in line[left : left + patch_size]
                    if pixel != -1
                )
                most = max(counts.values(), default=0)
                found.append(
                    min(
                        (i for i, n in counts.items() if n == most), default=-1
                    )
                )
    return torch.tensor(found).view(len(superpixels), -1)


@pytest.mark.parametrize('patch_size', [1, 2, 5])
@pytest.mark.parametrize('ids', [2, 4, 100])
@pytest.mark.parametrize('spare', [(0, 0), (1, 3)])
def test_is_the_majority(device, patch_size, ids, spare):
    """Few ids have many ties, many have few repeats."""
    grid = (3, 4)
    size = [patch_size * n + rest for n, rest in zip(grid, spare)]
    superpixels = torch.randint(-1, ids, (3, *size))
    found = pool_superpixels(superpixels.to(device), grid, patch_size)
    assert found.dtype == torch.long
    assert torch.equal(found.cpu(), naive(superpixels, grid, patch_size))


def test_mean_of_ids_is_not_taken(device):
    """The mean of these ids is 2, which no pixel has."""
    patch = torch.tensor([[[9, 0], [0, 0]]], device=device)
    assert pool_superpixels(patch, (1, 1), 2).tolist() == [[0]]


def test_smallest_id_of_a_tie(device):
    patches = torch.tensor([[[8, 3, 5, 7], [3, 8, 6, 4]]], device=device)
    assert pool_superpixels(patches, (1, 2), 2).tolist() == [[3, 4]]


def test_pixels_without_a_superpixel_do_not_count(device):
    patches = torch.tensor([[[-1, -1, -1, -1], [-1, 7, -1, -1]]])
    found = pool_superpixels(patches.to(device), (1, 2), 2)
    assert found.tolist() == [[7, -1]]


def test_ids_may_be_large(device):
    """Renaming the ids, in their order, renames the result."""
    names = torch.tensor([0, 2**31, 2**40, 2**62])
    superpixels = torch.randint(4, (2, 6, 9))
    found = pool_superpixels(names[superpixels].to(device), (2, 3), 3)
    expected = names[pool_superpixels(superpixels, (2, 3), 3)]
    assert torch.equal(found.cpu(), expected)


def test_small_types_are_taken():
    superpixels = torch.randint(200, (1, 4, 4))
    found = pool_superpixels(superpixels.to(torch.uint8), (2, 2), 2)
    assert torch.equal(found, pool_superpixels(superpixels, (2, 2), 2))


def test_images_are_pooled_alone(device):
    superpixels = torch.randint(-1, 3, (3, 6, 8), device=device)
    whole = pool_superpixels(superpixels, (3, 4), 2)
    for image, found in zip(superpixels, whole):
        assert torch.equal(pool_superpixels(image[None], (3, 4), 2)[0], found)


@pytest.mark.parametrize('size', [(31, 64), (32, 63)])
def test_too_small_is_refused(size):
    message = rf'\({size[0]}, {size[1]}\) .*\(2, 4\) .* 16: \(32, 64\)'
    with pytest.raises(ValueError, match=message):
        pool_superpixels(torch.zeros(1, *size, dtype=torch.long), (2, 4), 16)
