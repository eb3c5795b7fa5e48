"""Hooks for class names, losses that are not finite, and channels last.

``check_class_counts`` and ``name_classes`` are what ``ClassNamesHook`` and
the loader of trained models do.
"""

from collections.abc import Sequence

import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import HOOKS
from torch import nn

from mmseg_weakclip.models.clip.text_bank import BACKGROUND, TextBank


def check_class_counts(model: nn.Module, classes: Sequence[str]) -> None:
    """Check that a model has as many classes as a data set.

    Args:
        model: Model with decode heads and text banks.
        classes: Class names of the data set.

    Raises:
        ValueError: A head or a text bank has another number of classes.
    """
    foreground = len(classes) - (BACKGROUND in classes)
    wrong = []
    for name, module in model.named_modules():
        if isinstance(module, BaseDecodeHead):
            if module.num_classes != len(classes):
                wrong.append(
                    f'{name} ({type(module).__name__}) has '
                    f'num_classes={module.num_classes}'
                )
        elif isinstance(module, TextBank) and module.of_classes:
            expected = foreground if module.foreground_only else len(classes)
            if len(module) not in (expected, foreground):
                wrong.append(
                    f'{name} ({type(module).__name__}) has {len(module)} names'
                )
    if wrong:
        raise ValueError(
            f'the data set has {len(classes)} classes '
            f'({", ".join(classes[:3])}, ...), but {"; ".join(wrong)}. Make '
            'num_classes and names agree with metainfo["classes"]'
        )


def name_classes(model: nn.Module, classes: Sequence[str]) -> None:
    """Set the class names of text banks without names, and check counts.

    Args:
        model: Model with decode heads and text banks.
        classes: Class names of the data set.

    Raises:
        ValueError: A head or a text bank of classes has another number of
            classes.
    """
    for module in model.modules():
        if not isinstance(module, TextBank) or not module.of_classes:
            continue
        if module.names is None:
            module.set_names(classes)
    check_class_counts(model, classes)


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Set the class names of text banks, and check the numbers of classes.

    Text banks without names get those of the data set; data set, heads and
    texts must have the same number of classes. A training set of captions
    has no class names; the validation set has them.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Name the classes of the training set, if it has classes."""
        dataset = runner.train_dataloader.dataset
        if dataset.metainfo['classes']:
            self._apply(runner, dataset)

    def before_val(self, runner: Runner) -> None:
        """Name the classes of the validation set."""
        self._apply(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Name the classes of the test set."""
        self._apply(runner, runner.test_dataloader.dataset)

    def _apply(self, runner: Runner, dataset: BaseDataset) -> None:
        name_classes(runner.model, dataset.metainfo['classes'])


@HOOKS.register_module()
class CheckLossHook(Hook):
    """Stop training at a NaN or infinite loss; name the term and the images.

    The hook runs before anything is saved, so the last checkpoint is good.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Check the losses of an iteration.

        Raises:
            FloatingPointError: A loss is not finite.
        """
        losses = {
            name: torch.as_tensor(value)
            for name, value in (outputs or {}).items()
            if 'loss' in name
        }
        # Only their sum is read: each read waits for the GPU.
        if not losses or torch.isfinite(sum(losses.values())).all():
            return
        bad = {
            name: value.tolist()
            for name, value in losses.items()
            if not torch.isfinite(value).all()
        }
        images = [
            sample.metainfo.get('img_path', '?')
            for sample in data_batch['data_samples']
        ]
        raise FloatingPointError(
            f'iteration {runner.iter + 1}: {bad} with the images {images}. '
            'Look at these images and their seeds (tools/check_dataset.py), '
            'or lower the learning rate; the last checkpoint is from before'
        )


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Train and test a convolutional network with channels last in memory.

    Values, also in checkpoints, are the same except for rounding: tensors
    keep their shapes, only their strides change. A step of
    ``configs/toyland/segmenter.py`` (16 crops) took 0.14 s in place of 0.20
    on two CPU cores.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model; weights are loaded later, into these tensors."""
        runner.model.to(memory_format=torch.channels_last)
