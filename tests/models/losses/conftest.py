import pytest
import torch

from mmseg_weakclip.models.losses.region_similarities import RegionSimilarities


@pytest.fixture
def make_regions(device):
    """Similarities of pairs: random, but for the fields that are given.

    ``images`` and ``labels`` say what the pairs are, ``texts`` is L. What has
    a gradient is a leaf.
    """

    def make(images=(0, 0, 1), labels=(0, 2, 1), texts=4, size=(2, 3), **own):
        pairs = len(images)
        shapes = {
            'object_text': (pairs,),
            'rest_text': (pairs,),
            'object_background': (pairs, texts),
            'rest_background': (pairs, texts),
        }
        fields = {
            'images': torch.tensor(images, dtype=torch.long),
            'labels': torch.tensor(labels, dtype=torch.long),
            'background_mask': torch.ones(pairs, texts, dtype=torch.bool),
            'maps': torch.rand(*size, 4, 5),
            'present': torch.zeros(size, dtype=torch.bool),
        }
        for name, shape in shapes.items():
            fields[name] = 2 * torch.rand(shape) - 1
        fields['present'][fields['images'], fields['labels']] = True
        for name, value in own.items():
            value = torch.as_tensor(value, dtype=fields[name].dtype)
            fields[name] = value.expand_as(fields[name]).clone()
        return RegionSimilarities(
            **{
                name: value.to(device).requires_grad_(
                    value.is_floating_point()
                )
                for name, value in fields.items()
            }
        )

    return make


@pytest.fixture
def straight_through():
    """Of logits (B, G, N): one-hots with the gradient of the softmax; it."""

    def make(logits):
        soft = logits.softmax(dim=1)
        hard = torch.zeros_like(soft).scatter(1, soft.argmax(1, True), 1.0)
        return hard - soft.detach() + soft, soft

    return make


@pytest.fixture
def make_grouping(device):
    """Random logits (B, G, N), a leaf, and superpixels from -1 on, (B, N)."""

    def make(batch=2, groups=4, number=11, superpixels=3, spread=2.0):
        logits = spread * torch.randn(batch, groups, number)
        ids = torch.randint(-1, superpixels, (batch, number))
        return logits.to(device).requires_grad_(), ids.to(device)

    return make


@pytest.fixture(
    params=[
        dict(),
        dict(symmetric=False),
        dict(softmax_again=True),
        dict(source='hard', symmetric=False),
        dict(source='hard', symmetric=False, softmax_again=True),
        dict(source='hard', softmax_again=True, reduction='elements'),
    ],
    ids=str,
)
def kl_form(request) -> dict:
    """Forms of SuperpixelKLLoss, from the default to the published."""
    return request.param
