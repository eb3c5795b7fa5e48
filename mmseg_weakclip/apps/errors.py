"""Errors that end a command with one line, and nouns with numbers."""

import re
import traceback
from pathlib import Path

# Set in the environment, it shows where an error was raised.
TRACEBACK = 'WEAKCLIP_TRACEBACK'
PACKAGE = Path(__file__).resolve().parents[1]
# An ImportError names the extra that is not installed.
MISTAKES = (ImportError, OSError, RuntimeError, ValueError)
# How the error of a process of a pool begins and ends as text.
POOL, POOL_END = '\n"""\nTraceback ', '"""'


class UserError(Exception):
    """A mistake of the user: what is wrong, where, and what to do about it."""


class StageFailed(Exception):
    """A stage of a run failed; the message names its log."""


def mistake_of(error: BaseException) -> str | None:
    """Return the message of a user's mistake; None if it may be a bug.

    A mistake is an error that this package raises by a statement of its own,
    about a value or a file, or that opening a file raises here, whatever has
    wrapped it since: a registry of mmengine, or a worker that loads data. What
    PyTorch or Python raise inside a line of this package may be a bug.

    Args:
        error: Error that ended a command.
    """
    found: BaseException | None = error
    seen = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, UserError):
            return ' '.join(str(found).split())
        if isinstance(found, MISTAKES) and _is_raised_here(found):
            return ' '.join(str(found).split())
        message = _message_of_worker(str(found))
        if message:
            return message
        found = found.__cause__ or found.__context__
    return None


def _is_raised_here(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not Path(frames[-1].filename).is_relative_to(PACKAGE):
        return False
    line = (frames[-1].line or '').strip()
    return isinstance(error, OSError) or line.startswith('raise')


def _message_of_worker(text: str) -> str | None:
    """Return the message of an error in a worker, if this package raised it.

    PyTorch passes on the traceback of a worker as text, and so do the pools
    of Python, as the cause of the error.
    """
    if not text.startswith(('Caught ', POOL)):
        return None
    text = text.removesuffix(POOL_END)
    files = re.findall(r'^ *File "([^"]+)"', text, re.MULTILINE)
    if not files or not Path(files[-1]).is_relative_to(PACKAGE):
        return None
    end = text[text.rindex('  File "') :].splitlines()
    if len(end) < 2 or not end[1].strip().startswith('raise'):
        return None
    last = next(
        (i for i, line in enumerate(end) if re.match(r'[\w.]+: ', line)), None
    )
    if last is None:
        return None
    return ' '.join(' '.join(end[last:]).split()).partition(': ')[2]


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as '3 images'.

    Args:
        number: Number of things.
        singular: Noun for one.
        plural: Noun for several; ``singular`` with an s by default.
    """
    return f'{number} {singular if number == 1 else plural or singular + "s"}'
