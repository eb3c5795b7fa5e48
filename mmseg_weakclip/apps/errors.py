"""What a user has to put right."""


class WrongUse(Exception):
    """One line that says what is wrong, where, and what to do about it."""


class StageFailed(Exception):
    """A stage ended with an error; the message names its log."""


def count(number: int, what: str, first: object = None) -> str:
    """'3 images (the first: x)', for messages."""
    plural = '' if number == 1 else 's'
    text = f'{number} {what}{plural}'
    return text if first is None else f'{text} (the first: {first})'
