"""Options of a config that a function takes later, checked at once."""

from collections.abc import Callable, Mapping
from typing import Any


def check_options(
    name: str,
    options: Mapping[str, Any] | None,
    function: Callable[..., object],
) -> None:
    """Call a function once, so that wrong options fail when a part is built.

    Without this a misspelt option of a config would fail at the first image,
    hours later in a training that only then needs it.

    Args:
        name: What the options are called in the config.
        options: Keyword arguments; None checks nothing.
        function: Function of these arguments alone, that is with its data
            bound: the smallest that it accepts.

    Raises:
        ValueError: The function refuses the options: one is not known, or
            has a value that is not allowed.
    """
    if options is None:
        return
    try:
        function(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{name}={dict(options)}: {error}') from error
