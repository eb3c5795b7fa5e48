import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.clims.critic import (
    find_pairs,
    mask_regions,
    normalize_images,
)


def test_normalisation(device):
    images = torch.tensor([0, 255], device=device, dtype=torch.uint8)
    images = images.view(2, 1, 1, 1).expand(2, 3, 4, 5)
    clip = normalize_images(images, 'clip')
    assert clip.dtype == torch.float32
    assert torch.allclose(
        clip[1, :, 0, 0].cpu(),
        (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073]))
        / torch.tensor([0.26862954, 0.26130258, 0.27577711]),
        atol=1e-4,
    )
    imagenet = normalize_images(images, 'imagenet')
    assert torch.allclose(
        imagenet[0, :, 0, 0].cpu(),
        -torch.tensor([0.485, 0.456, 0.406])
        / torch.tensor([0.229, 0.224, 0.225]),
        atol=1e-4,
    )
    with pytest.raises(ValueError, match="normalization='none'"):
        normalize_images(images, 'none')


def test_pairs(device):
    present = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 0]], device=device)
    images, labels = find_pairs(present.bool())
    assert images.tolist() == [0, 0, 2]
    assert labels.tolist() == [1, 2, 0]


def test_regions_share_out_the_image(device):
    images = torch.randn(2, 3, 40, 56, device=device)
    maps = torch.rand(2, 3, 5, 7, device=device)
    pairs = (
        torch.tensor([0, 0, 1], device=device),
        torch.tensor([1, 2, 0], device=device),
    )
    inside, rest = mask_regions(images, maps, pairs, (24, 24))
    assert inside.shape == rest.shape == (3, 3, 24, 24)
    for place, (image, label) in enumerate(zip(*pairs)):
        x = F.interpolate(images[image][None], (24, 24), mode='bilinear')[0]
        p = F.interpolate(
            maps[image, label][None, None], (24, 24), mode='bilinear'
        )[0]
        assert torch.allclose(inside[place], p * x, atol=1e-6)
        assert torch.allclose(rest[place], (1 - p) * x, atol=1e-6)


def test_a_closed_map_shows_the_mean_colour(device):
    images = torch.randn(1, 3, 8, 8, device=device)
    maps = torch.zeros(1, 1, 4, 4, device=device)
    pairs = (torch.zeros(1, dtype=torch.long, device=device),) * 2
    inside, rest = mask_regions(images, maps, pairs, (8, 8))
    assert (inside == 0).all()
    assert torch.allclose(rest, images)
