import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.clims.critic import (
    RegionCritic,
    find_pairs,
    mask_regions,
    normalize_images,
)
from mmseg_weakclip.models.clip.weights import load_clip

SIDE = 96


@pytest.fixture
def present(device):
    return torch.tensor([[1, 0, 1], [0, 1, 0]], device=device).bool()


@pytest.fixture
def maps(device):
    torch.manual_seed(0)
    return torch.rand(2, 3, 5, 7, device=device)


def test_is_clip_on_each_region(device, clip, make_images, maps, present):
    """Against a loop over pairs with open_clip's own call."""
    images = make_images()
    critic = RegionCritic(**clip).to(device)
    inside, rest = critic(images, maps, find_pairs(present))
    model = load_clip(**clip).to(device).eval()
    place = 0
    for image in range(2):
        for label in present[image].nonzero().flatten().tolist():
            x = normalize_images(images[image : image + 1], 'clip')
            pair = (
                torch.zeros(1, dtype=torch.long, device=device),
                torch.tensor([label], device=device),
            )
            regions = mask_regions(
                x, maps[image : image + 1], pair, (SIDE, SIDE)
            )
            for found, region in zip((inside, rest), regions):
                with torch.no_grad():
                    alone = model.encode_image(region)
                alone = F.normalize(alone, dim=-1)[0]
                assert torch.allclose(found[place], alone, atol=1e-5)
            place += 1
    assert len(inside) == place == 3


@pytest.mark.parametrize('chunk', [1, 4, 6, 100])
def test_chunks_change_nothing(
    device, clip, make_images, maps, present, chunk
):
    images, pairs = make_images(), find_pairs(present)
    results = []
    for size in (None, chunk):
        critic = RegionCritic(**clip, chunk=size).to(device)
        own = maps.clone().requires_grad_()
        inside, rest = critic(images, own, pairs)
        (inside[:, 0] + 2 * rest[:, 1]).sum().backward()
        results.append((inside.detach(), rest.detach(), own.grad))
    for whole, parts in zip(*results):
        assert torch.allclose(whole, parts, atol=1e-5)


def test_gradient_reaches_own_maps_only(
    device, clip, make_images, maps, present
):
    critic = RegionCritic(**clip).to(device).train()
    maps.requires_grad_()
    inside, rest = critic(make_images(), maps, find_pairs(present))
    (inside[:, 0] + rest[:, 0]).sum().backward()
    touched = maps.grad.abs().sum((2, 3)) > 0
    assert torch.equal(touched, present)
    assert all(p.grad is None for p in critic.parameters())
    assert not critic.tower.module.training


def test_no_pair(device, clip, make_images, maps, present):
    critic = RegionCritic(**clip).to(device)
    inside, rest = critic(make_images(), maps, find_pairs(present & False))
    assert inside.shape == rest.shape == (0, 64)


def test_under_autocast(device, clip, make_images, maps, present):
    critic = RegionCritic(**clip).to(device)
    pairs = find_pairs(present)
    expected, _ = critic(make_images(), maps, pairs)
    with torch.autocast(device.type, torch.bfloat16):
        inside, _ = critic(make_images(), maps, pairs)
    assert inside.dtype == torch.float32
    assert (inside * expected).sum(-1).min() > 0.99


def test_normalisation_matters(device, clip, make_images, maps, present):
    pairs = find_pairs(present)
    clips, imagenets = (
        RegionCritic(**clip, normalization=name).to(device)(
            make_images(), maps, pairs
        )[0]
        for name in ('clip', 'imagenet')
    )
    assert not torch.allclose(clips, imagenets, atol=1e-3)


def test_stays_out_of_checkpoints(clip):
    critic = RegionCritic(**clip)
    assert list(critic.state_dict()) == ['tower.fingerprint']
    RegionCritic(**clip).load_state_dict(critic.state_dict())


def test_bad_arguments(clip):
    with pytest.raises(ValueError, match='chunk=0'):
        RegionCritic(**clip, chunk=0)
    with pytest.raises(ValueError, match="normalization='x'"):
        RegionCritic(**clip, normalization='x')
    with pytest.raises(ValueError, match='open_clip has no model'):
        RegionCritic('ViT-B-99')
