"""Check the options of ``token_repair`` when a model is built."""

from typing import Any

from mmseg.utils import ConfigType

REPAIR = ('neighbours', 'share')
SMOOTH = ('before', 'after', 'threshold')


def is_number(value: Any, above: float) -> bool:
    """Return whether a value is a number above another."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value > above
    )


def is_count(value: Any, least: int) -> bool:
    """Return whether a value is a whole number, ``least`` or more."""
    return isinstance(value, int) and is_number(value, least - 1)


def check_token_options(
    repair: ConfigType | str | None, smooth: ConfigType | None
) -> None:
    """Check ``repair`` and ``smooth`` of ``DenseAttention``.

    Args:
        repair: ``'lof'``, or its arguments.
        smooth: Blocks, counted from 1, and a threshold.

    Raises:
        ValueError: A value is not allowed, or ``smooth`` names no block.
    """
    if isinstance(repair, dict):
        _check_names('repair', repair, REPAIR)
        if not is_count(repair.get('neighbours', 1), 1):
            raise ValueError(f'repair={repair}: neighbours must be 1 or more')
        share = repair.get('share', 1)
        if not is_number(share, 0) or share > 1:
            raise ValueError(f'repair={repair}: share must be in (0, 1]')
    elif repair not in (None, 'lof'):
        raise ValueError(
            f"repair={repair!r} must be 'lof', its arguments {REPAIR} or None"
        )
    if not smooth:
        return
    if not isinstance(smooth, dict):
        raise ValueError(f'smooth={smooth!r} must be a dict of {SMOOTH}')
    _check_names('smooth', smooth, SMOOTH)
    blocks = [smooth.get(key) for key in ('before', 'after')]
    named = [block for block in blocks if block is not None]
    if not named or not all(is_count(block, 1) for block in named):
        raise ValueError(
            f'smooth={smooth}: before and after are blocks, counted from 1; '
            'give at least one, or smooth=None'
        )
    if not is_number(smooth.get('threshold', 0), -1):
        raise ValueError(f'smooth={smooth}: threshold must be above -1')


def _check_names(
    name: str, options: ConfigType, known: tuple[str, ...]
) -> None:
    if not set(options) <= set(known):
        raise ValueError(f'{name}={options} must have some of {known}')
