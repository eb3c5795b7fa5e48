"""What a check of a data set finds, and how it is told."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set.

    Attributes:
        kind: What, in a word or two, e.g. 'missing-image'.
        severity: 'error', or 'warning' where training can go on.
        item: The image id or file at fault.
        message: What is wrong and what to do, with the file.
    """

    kind: str
    severity: Literal['error', 'warning']
    item: str
    message: str


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether some problem is more than a warning."""
    return any(problem.severity == 'error' for problem in problems)


def summarize_problems(problems: Sequence[Problem], shown: int = 3) -> str:
    """Counts per kind, errors first, each with its first offenders.

    Args:
        problems: The problems.
        shown: Number of offenders to print of each kind.
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
