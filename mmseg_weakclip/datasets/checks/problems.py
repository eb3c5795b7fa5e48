"""Problems of a data set and their summary."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal['error', 'warning']


@dataclass(frozen=True)
class Problem:
    """Problem of a data set.

    Attributes:
        kind: Kind of problem in a word or two, e.g. 'missing-image'.
        severity: 'error', or 'warning' if training can go on.
        item: Image id or file that has the problem.
        message: What is wrong and what to do, with the file.
    """

    kind: str
    severity: Severity
    item: str
    message: str


def has_errors(problems: Iterable[Problem]) -> bool:
    """Return whether any problem is an error."""
    return any(problem.severity == 'error' for problem in problems)


def summarize_problems(problems: Sequence[Problem], shown: int = 3) -> str:
    """Summarise problems by kind, errors first.

    Args:
        problems: Problems to summarise.
        shown: Number of problems to print of each kind.
    """
    if not problems:
        return 'No problem found.'
    kinds: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.severity, problem.kind].append(problem)
    lines = []
    for (severity, kind), group in sorted(kinds.items()):
        lines.append(f'{severity:7}  {kind:20}  {len(group)}x')
        lines += [f'    {p.item}: {p.message}' for p in group[:shown]]
        if len(group) > shown:
            lines.append(f'    ... and {len(group) - shown} more')
    return '\n'.join(lines)
