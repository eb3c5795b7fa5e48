"""Errors that end a command with one line, and nouns with numbers."""


class UserError(Exception):
    """A mistake of the user: what is wrong, where, and what to do about it."""


class StageFailed(Exception):
    """A stage of a run failed; the message names its log."""


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as '3 images'.

    Args:
        number: Number of things.
        singular: Noun for one.
        plural: Noun for several; ``singular`` with an s by default.
    """
    return f'{number} {singular if number == 1 else plural or singular + "s"}'
