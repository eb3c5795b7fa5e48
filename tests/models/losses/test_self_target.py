import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.cam_seed import CAMSeedLoss
from mmseg_weakclip.models.losses.self_target import (
    SelfTargetLoss,
    confident_labels,
)
from mmseg_weakclip.models.progress import training_progress


@pytest.fixture
def progress():
    """Function that says how far the training is."""
    hub = MessageHub.get_current_instance()
    before = {
        name: hub.get_info(name)
        for name in ('iter', 'max_iters')
        if name in hub.runtime_info
    }

    def go_to(iteration, length=100):
        hub.update_info('iter', iteration)
        hub.update_info('max_iters', length)

    yield go_to
    for name in ('iter', 'max_iters'):
        hub.pop_info(name)
    for name, value in before.items():
        hub.update_info(name, value)


def random_case(device, batch=3, classes=4, height=5, width=7):
    logits = 3 * torch.randn(batch, classes, height, width)
    labels = torch.randint(0, classes - 1, (batch, height, width))
    labels[torch.rand(labels.shape) < 0.3] = 255
    return logits.to(device), labels.to(device)


def naive_labels(logits, labels, threshold):
    """One image, pixel by pixel."""
    shown = {0, *labels.unique().tolist()} - {255}
    found = labels.clone()
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x] == 255:
                continue
            exps = [math.exp(float(z)) for z in logits[:, y, x]]
            best = max(shown, key=lambda k: exps[k])
            if exps[best] / sum(exps) > threshold:
                found[y, x] = best
    return found


@pytest.mark.parametrize('threshold', [0.0, 0.4, 0.75])
def test_is_its_definition(device, threshold):
    logits, labels = random_case(device)
    found = confident_labels(logits, labels, threshold).cpu()
    expected = [
        naive_labels(*pair, threshold)
        for pair in zip(logits.cpu(), labels.cpu())
    ]
    assert torch.equal(found, torch.stack(expected))
    assert not torch.equal(found, labels.cpu())


def test_images_do_not_influence_each_other(device):
    logits, labels = random_case(device)
    each = [
        confident_labels(logits[i : i + 1], labels[i : i + 1], 0.5)
        for i in range(len(labels))
    ]
    assert torch.equal(torch.cat(each), confident_labels(logits, labels, 0.5))


def test_a_class_that_the_mask_lacks_never_comes(device):
    logits = torch.zeros(1, 3, 1, 3, device=device)
    logits[:, 2] = 20.0  # very sure of class 2
    labels = torch.tensor([[[1, 0, 255]]], device=device)
    assert torch.equal(confident_labels(logits, labels, 0.5), labels)
    labels = torch.tensor([[[1, 2, 255]]], device=device)
    expected = torch.tensor([[[2, 2, 255]]], device=device)
    assert torch.equal(confident_labels(logits, labels, 0.5), expected)


def test_the_background_may_always_come(device):
    """A crop whose mask is one object from edge to edge."""
    logits = torch.zeros(1, 3, 1, 2, device=device)
    logits[:, 0] = 20.0
    labels = torch.ones(1, 1, 2, dtype=torch.long, device=device)
    found = confident_labels(logits, labels, 0.5)
    assert torch.equal(found, torch.zeros_like(labels))


def test_certainty_is_that_among_all_classes(device):
    """Unsure between one's own class and an absent one is unsure."""
    logits = torch.tensor([0.0, 5.0, 5.0], device=device).view(1, 3, 1, 1)
    labels = torch.tensor([[[0]]], device=device)
    both = torch.tensor([[[0, 1]]], device=device)
    wide = logits.expand(1, 3, 1, 2)
    assert torch.equal(confident_labels(wide, both, 0.55), both)
    assert torch.equal(confident_labels(logits, labels, 0.0), labels)


@pytest.mark.parametrize(('iteration', 'changed'), [(59, False), (60, True)])
def test_labels_change_from_the_start_on(device, progress, iteration, changed):
    logits, labels = random_case(device)
    loss = MODELS.build(
        dict(
            type='SelfTargetLoss',
            loss=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
            threshold=0.5,
        )
    )
    progress(iteration)
    target = confident_labels(logits, labels, 0.5) if changed else labels
    expected = F.cross_entropy(logits, target, ignore_index=255)
    assert loss.loss_name == 'loss_ce'
    torch.testing.assert_close(loss(logits, labels), expected)


def test_gradient_is_that_of_the_new_labels(device, progress):
    logits, labels = random_case(device)
    progress(99)
    loss = SelfTargetLoss(dict(type='CAMSeedLoss', size=None), threshold=0.5)
    one, two = (logits.clone().requires_grad_() for _ in range(2))
    loss(one, labels).backward()
    CAMSeedLoss(size=None)(
        two, confident_labels(logits, labels, 0.5)
    ).backward()
    torch.testing.assert_close(one.grad, two.grad)


def test_weights_and_the_ignored_id_go_on(device, progress):
    logits, labels = random_case(device)
    labels[labels == 255] = 3
    weight = torch.rand(labels.shape, device=device)
    progress(99)
    loss = SelfTargetLoss(
        dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True), threshold=0.5
    )
    target = confident_labels(logits, labels, 0.5, ignore_index=3)
    each = F.cross_entropy(logits, target, ignore_index=3, reduction='none')
    torch.testing.assert_close(
        loss(logits, labels, weight=weight, ignore_index=3),
        (each * weight).sum() / (target != 3).sum(),
    )


def test_outside_of_a_training_nothing_changes(device):
    hub = MessageHub.get_current_instance()
    if 'max_iters' not in hub.runtime_info:
        assert training_progress() == 0
    logits, labels = random_case(device)
    loss = SelfTargetLoss(
        dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True), start=0.9
    )
    torch.testing.assert_close(
        loss(logits, labels), F.cross_entropy(logits, labels, ignore_index=255)
    )


@pytest.mark.parametrize(
    'options', [dict(start=-0.1), dict(threshold=1.5), dict(start=60)]
)
def test_wrong_options(options):
    (name,) = options
    with pytest.raises(ValueError, match=f'{name}=.* between 0 and 1'):
        SelfTargetLoss(dict(type='CAMSeedLoss'), **options)


@pytest.mark.parametrize('iteration', [0, 99])
def test_one_channel_has_no_classes(device, progress, iteration):
    """The softmax of one channel is 1: all would become background."""
    loss = SelfTargetLoss(
        dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True)
    )
    labels = torch.ones(1, 2, 3, dtype=torch.long, device=device)
    progress(iteration)
    with pytest.raises(ValueError, match='one channel: set num_classes=2'):
        loss(torch.zeros(1, 1, 2, 3, device=device), labels)


class OnePixel(BaseModel):
    """Remember which share of the training each iteration is at."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def forward(self, inputs, mode):
        self.seen.append(training_progress())
        return dict(loss=self.weight * 0)


@pytest.mark.parametrize('by_epoch', [False, True])
def test_progress_is_that_of_the_runner(tmp_path, by_epoch):
    """Also in a training that was resumed, and one that counts epochs."""

    def runner(length, **options):
        loop = dict(type='IterBasedTrainLoop', max_iters=2 * length)
        if by_epoch:
            loop = dict(type='EpochBasedTrainLoop', max_epochs=length)
        return Runner(
            OnePixel(),
            str(tmp_path),
            train_dataloader=dict(
                dataset=[0, 1], sampler=dict(type='DefaultSampler')
            ),
            train_cfg=loop,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=by_epoch, interval=1
                )
            ),
            experiment_name=f'{tmp_path.name}_{by_epoch}_{length}',
            log_level='WARNING',
            **options,
        )

    first = runner(2)
    first.train()
    assert first.model.seen == [0, 1 / 4, 2 / 4, 3 / 4]
    second = runner(4, resume=True)
    second.train()
    assert second.model.seen == [4 / 8, 5 / 8, 6 / 8, 7 / 8]
