import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.image_text_contrastive import (
    ImageTextContrastiveLoss,
    equal_text_targets,
)


def case(device, batch=5, width=3, scale=4.0):
    """Embeddings of all lengths, leaves."""
    image = (3 * torch.randn(batch, width)).to(device).requires_grad_()
    text = (0.2 * torch.randn(batch, width)).to(device).requires_grad_()
    return image, text, torch.tensor(scale, device=device, requires_grad=True)


def naive(image, text, scale, ids):
    """The formula, sample by sample, with exp and log."""

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b))
        return dot / math.hypot(*a) / math.hypot(*b)

    def one_way(queries, keys):
        total = 0.0
        for i, query in enumerate(queries):
            logits = [scale.item() * cosine(query, key) for key in keys]
            log_sum = math.log(sum(math.exp(logit) for logit in logits))
            own = [j for j in range(len(keys)) if ids[j] == ids[i]]
            total += sum(log_sum - logits[j] for j in own) / len(own)
        return total / len(queries)

    image, text = image.tolist(), text.tolist()
    return (one_way(image, text) + one_way(text, image)) / 2


def test_two_samples_by_hand(device):
    """Cosines 1, 0.6 in the first row, 0, 0.8 in the second."""
    image = torch.tensor([[2.0, 0.0], [0.0, 0.1]], device=device)
    text = torch.tensor([[5.0, 0.0], [3.0, 4.0]], device=device)
    gaps = {
        'first image': 1 - 0.6,
        'second image': 0.8 - 0,
        'first text': 1 - 0,
        'second text': 0.8 - 0.6,
    }
    for scale in (1.0, 10.0):
        value = ImageTextContrastiveLoss(loss_weight=2.0)(
            image, text, torch.tensor(scale, device=device)
        )
        expected = sum(
            math.log1p(math.exp(-scale * gap)) for gap in gaps.values()
        )
        assert value.item() == pytest.approx(2 * expected / 4, rel=1e-5)


@pytest.mark.parametrize(('batch', 'width'), [(5, 3), (2, 7)])
def test_is_its_formula(device, batch, width):
    arguments = case(device, batch, width)
    assert ImageTextContrastiveLoss()(*arguments).item() == pytest.approx(
        naive(*arguments, ids=range(batch)), rel=1e-5
    )


@pytest.mark.parametrize(
    'ids', [(4, 4, 4, 4, 4), (9, 1, 9, 9, 1), (2**40, 0, 1, 2**40, 3)]
)
def test_equal_texts_share_the_target(device, ids):
    arguments = case(device)
    loss = ImageTextContrastiveLoss(same_text='positive')
    ids_tensor = torch.tensor(ids, device=device)
    value = loss(*arguments, ids_tensor)
    assert value.item() == pytest.approx(naive(*arguments, ids), rel=1e-5)
    negative = ImageTextContrastiveLoss()(*arguments, ids_tensor)
    assert value.item() != pytest.approx(negative.item(), rel=1e-2)


def test_without_equal_texts_the_options_are_one(device):
    arguments = case(device)
    ids = torch.tensor([5, 0, 3, 8, 1], device=device)
    positive = ImageTextContrastiveLoss(same_text='positive')(*arguments, ids)
    torch.testing.assert_close(
        positive, ImageTextContrastiveLoss()(*arguments)
    )


def test_least_value_is_the_entropy_of_the_targets(device):
    """Two captions, one of them twice, each image on its own caption."""
    text = torch.eye(2, device=device)[[0, 0, 1]]
    ids = torch.tensor([6, 6, 2], device=device)
    scale = torch.tensor(100.0, device=device)
    loss = ImageTextContrastiveLoss(same_text='positive')
    assert loss(text, text, scale, ids).item() == pytest.approx(
        2 / 3 * math.log(2)
    )


def test_targets_of_a_rank():
    targets = equal_text_targets(
        torch.tensor([1, 5]), torch.tensor([0, 5, 1, 5])
    )
    assert targets.tolist() == [[0, 0, 1, 0], [0, 0.5, 0, 0.5]]


@pytest.mark.parametrize('same_text', ['negative', 'positive'])
def test_images_and_texts_may_be_swapped(device, same_text):
    image, text, scale = case(device)
    ids = torch.tensor([0, 1, 0, 2, 2], device=device)
    loss = ImageTextContrastiveLoss(same_text=same_text)
    torch.testing.assert_close(
        loss(image, text, scale, ids), loss(text, image, scale, ids)
    )


def test_length_does_not_count(device):
    image, text, scale = case(device)
    loss = ImageTextContrastiveLoss()
    lengths = torch.tensor([[1.0], [50.0], [0.1], [2.0], [7.0]], device=device)
    torch.testing.assert_close(
        loss(image * lengths, text / lengths, scale), loss(image, text, scale)
    )


@pytest.mark.parametrize(('sign', 'of_right'), [(-1, 1), (1, -1)])
def test_scale_grows_where_pairs_are_right(device, sign, of_right):
    image, _, scale = case(device)
    ImageTextContrastiveLoss()(
        image.detach(), of_right * image.detach(), scale
    ).backward()
    assert scale.grad.sign() == sign


def test_step_down_the_gradient_brings_pairs_together(device):
    image, text, scale = case(device)
    loss = ImageTextContrastiveLoss()
    value = loss(image, text, scale)
    value.backward()
    for embedding in (image, text):
        assert (embedding.grad.norm(dim=1) > 0).all()
    with torch.no_grad():
        after = loss(image - 0.1 * image.grad, text, scale)
    assert after < value


@pytest.mark.parametrize('same_text', ['negative', 'positive'])
def test_one_sample_has_nothing_to_learn(device, same_text):
    image, text, scale = case(device, batch=1)
    ids = torch.tensor([3], device=device)
    value = ImageTextContrastiveLoss(same_text=same_text)(
        image, text, scale, ids
    )
    value.backward()
    assert value.item() == 0
    for leaf in (image, text, scale):
        assert (leaf.grad == 0).all()


@pytest.mark.parametrize('same_text', ['negative', 'positive'])
def test_autocast_changes_nothing(device, same_text):
    arguments = case(device, scale=100.0)
    ids = torch.tensor([0, 1, 0, 2, 2], device=device)
    loss = ImageTextContrastiveLoss(same_text=same_text)
    expected = loss(*arguments, ids)
    with torch.autocast(device.type, torch.bfloat16):
        value = loss(*arguments, ids)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_bfloat16_embeddings_give_float32(device):
    image, text, scale = (value.detach() for value in case(device))
    low = image.bfloat16(), text.bfloat16()
    value = ImageTextContrastiveLoss()(*low, scale)
    expected = ImageTextContrastiveLoss()(
        low[0].float(), low[1].float(), scale
    )
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


@pytest.fixture(scope='module')
def ranks(repo, tmp_path_factory) -> list[dict]:
    """What each of two processes found, see contrast_of_rank.py."""
    folder = tmp_path_factory.mktemp('ranks')
    script = Path(__file__).with_name('contrast_of_rank.py')
    results = [folder / f'{rank}.pt' for rank in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), folder / 'meeting', result],
            env={**os.environ, 'PYTHONPATH': str(repo)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, result in enumerate(results)
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=180)
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
    return [torch.load(result) for result in results]


@pytest.mark.parametrize('same_text', ['negative', 'positive'])
def test_two_processes_are_one(ranks, same_text):
    """The mean loss and DDP's gradients are those of the whole batch."""
    whole, expected = ranks[0]['whole'][same_text]
    values = [rank['found'][same_text][0] for rank in ranks]
    assert sum(values) / 2 == pytest.approx(whole, rel=1e-5)
    assert values[0] != pytest.approx(values[1], rel=1e-3)
    for rank in ranks:
        torch.testing.assert_close(rank['found'][same_text][1], expected)
    assert all((gradient.abs() > 1e-4).any() for gradient in expected)


def test_processes_may_stay_apart(ranks):
    """Without the gathering, another loss: each has half the negatives."""
    mean = sum(rank['local'] for rank in ranks) / 2
    assert mean < ranks[0]['whole']['negative'][0] - 0.1


def test_unequal_batches_are_refused_by_every_process(ranks):
    for rank in ranks:
        assert '[3, 2] samples' in rank['error']
        assert 'drop_last=True' in rank['error']


def test_bad_input_is_named(device):
    image, text, scale = case(device)
    with pytest.raises(ValueError, match="same_text='maybe'"):
        MODELS.build(dict(type='ImageTextContrastiveLoss', same_text='maybe'))
    loss = ImageTextContrastiveLoss()
    with pytest.raises(ValueError, match=r'\(5, 3\) and \(4, 3\)'):
        loss(image, text[:4], scale)
    with pytest.raises(ValueError, match=r'B > 0.*\(0, 3\)'):
        loss(image[:0], text[:0], scale)
    positive = ImageTextContrastiveLoss(same_text='positive')
    with pytest.raises(ValueError, match='needs text_ids'):
        positive(image, text, scale)
    with pytest.raises(ValueError, match=r'\(5,\), got \(1, 5\)'):
        positive(image, text, scale, torch.zeros(1, 5, dtype=torch.long))
