"""Check that images are normalised as the networks expect.

A wrong mean is silent: the network works, and recognises less.
"""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from mmseg_weakclip.models.cam.timm_features import FrozenTimmModel

# Of values in 0..255: records are rounded to 1/1000 of [0, 1].
TOLERANCE = 0.3


def check_normalization(model: nn.Module) -> None:
    """Compare the preprocessor of a segmentor with what its parts need.

    Args:
        model: Segmentor, or a model that wraps one as ``module``. Backbones
            without ``mean`` and ``std``, such as all of mmseg's, and CLIPs
            whose weights have no record are not checked. Frozen models of
            timm, which normalise its images once more, all are.

    Raises:
        ValueError: Mean, standard deviation or the order of the colours
            differ.
    """
    while not hasattr(model, 'backbone') and hasattr(model, 'module'):
        model = model.module
    _check_backbone(model)
    for path, part in model.named_modules():
        if isinstance(part, FrozenTimmModel):
            _check_frozen(model.data_preprocessor, path, part)


def _check_backbone(model: nn.Module) -> None:
    backbone = getattr(model, 'backbone', None)
    wanted = [getattr(backbone, name, None) for name in ('mean', 'std')]
    if None in wanted:
        return
    preprocessor = model.data_preprocessor
    name = getattr(backbone, 'model_name', type(backbone).__name__)
    found = [_numbers(preprocessor, key) for key in ('mean', 'std')]
    if _differ(found, wanted):
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
    _check_colors(preprocessor, name)


def _check_frozen(
    preprocessor: nn.Module, path: str, part: FrozenTimmModel
) -> None:
    """Check that a frozen model knows how its images are normalised."""
    name = f'{type(part).__name__} of {part.model_name} ({path})'
    # Without normalisation images are as they are.
    found = [
        list(_numbers(preprocessor, key)) or [default] * 3
        for key, default in (('mean', 0.0), ('std', 1.0))
    ]
    if _differ(found, (part.mean, part.std)):
        raise ValueError(
            f'{name} takes the mean of the images for {list(part.mean)} and '
            f'their std for {list(part.std)}, but the data_preprocessor has '
            f'mean {found[0]} and std {found[1]}: set mean={found[0]} and '
            f'std={found[1]} in its config'
        )
    _check_colors(preprocessor, name)


def _check_colors(preprocessor: nn.Module, name: str) -> None:
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


def _differ(
    found: Sequence[Sequence[float]], wanted: Sequence[Sequence[float]]
) -> bool:
    return any(
        len(own) != len(theirs)
        or any(abs(a - b) > TOLERANCE for a, b in zip(own, theirs))
        for own, theirs in zip(found, wanted)
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
