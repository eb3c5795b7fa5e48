"""One list of classes for data set, heads and texts."""

from collections.abc import Sequence

from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import HOOKS
from torch import nn

from ..models.clip import TextBank
from ..models.clip.text_bank import BACKGROUND


def check_class_counts(model: nn.Module, classes: Sequence[str]) -> None:
    """Compare the classes of a data set with those of a model.

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
        elif isinstance(module, TextBank):
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


def set_class_names(model: nn.Module, classes: Sequence[str]) -> None:
    """Tell the text banks of a model that have no names the classes."""
    for module in model.modules():
        if isinstance(module, TextBank) and module.names is None:
            module.set_names(classes)


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Tell text banks without names what the classes are called, and check
    that data set, heads and texts have the same number of them.

    A training set of captions names no classes; the validation set does.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        if dataset.metainfo['classes']:
            self._apply(runner, dataset)

    def before_val(self, runner: Runner) -> None:
        self._apply(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        self._apply(runner, runner.test_dataloader.dataset)

    def _apply(self, runner: Runner, dataset: BaseDataset) -> None:
        classes = dataset.metainfo['classes']
        set_class_names(runner.model, classes)
        check_class_counts(runner.model, classes)
