"""Check that images are normalised as a backbone was trained with them.

A wrong mean is silent: the network works, and recognises less.
"""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

# Of values in 0..255: records are rounded to 1/1000 of [0, 1].
TOLERANCE = 0.3


def check_normalization(model: nn.Module) -> None:
    """Compare the preprocessor of a segmentor with what its backbone needs.

    Args:
        model: Segmentor, or a model that wraps one as ``module``. Backbones
            without ``mean`` and ``std``, such as all of mmseg's, and CLIPs
            whose weights have no record are not checked.

    Raises:
        ValueError: Mean, standard deviation or the order of the colours
            differ.
    """
    while not hasattr(model, 'backbone') and hasattr(model, 'module'):
        model = model.module
    backbone = getattr(model, 'backbone', None)
    wanted = [getattr(backbone, name, None) for name in ('mean', 'std')]
    if None in wanted:
        return
    preprocessor = model.data_preprocessor
    found = [_numbers(preprocessor, name) for name in ('mean', 'std')]
    name = getattr(backbone, 'model_name', type(backbone).__name__)
    differ = any(
        len(own) != len(theirs)
        or any(abs(a - b) > TOLERANCE for a, b in zip(own, theirs))
        for own, theirs in zip(found, wanted)
    )
    if differ:
        mean, std = map(list, wanted)
        hint = ''
        if hasattr(backbone, 'check_normalization'):
            hint = (
                ', or backbone.check_normalization=False if others are meant'
            )
        raise ValueError(
            f'{name} was trained on images with mean {mean} and std {std}, '
            f'but the data_preprocessor has mean {found[0]} and std '
            f'{found[1]}: set data_preprocessor=dict(mean={mean}, std={std})'
            + hint
        )
    flips = getattr(
        preprocessor,
        '_flips_channels',  # WeakSegDataPreProcessor
        getattr(preprocessor, '_channel_conversion', True),
    )
    if not flips:
        raise ValueError(
            f'{name} was trained on RGB images, but the data_preprocessor '
            'leaves them as mmcv reads them, BGR: set '
            'data_preprocessor=dict(bgr_to_rgb=True)'
        )


def _numbers(preprocessor: nn.Module, name: str) -> Sequence[float]:
    """Return mean or std of a preprocessor; empty without normalisation."""
    value = getattr(preprocessor, name, None)
    if value is None:
        return []
    return [round(number, 3) for number in value.flatten().tolist()]


@HOOKS.register_module()
class CheckNormalizationHook(Hook):
    """Run :func:`check_normalization` before a training and before a test."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Check the model that is trained."""
        check_normalization(runner.model)

    def before_test(self, runner: Runner) -> None:
        """Check the model that is tested."""
        check_normalization(runner.model)
