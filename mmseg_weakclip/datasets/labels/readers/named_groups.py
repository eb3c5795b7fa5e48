"""Choice among several groups of names, of which only some are classes.

Annotation tools let a user ask several questions: which animal, and whether
the picture is sharp. Both answers are names, but 'blurred' is not a class.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from mmseg_weakclip.common.names import NameIndex, split_background
from mmseg_weakclip.datasets.labels.records import LabelRow


def choose_groups(
    source: str,
    groups: Mapping[str, Iterable[str]],
    classes: Sequence[str] | None,
) -> tuple[set[str], list[str]]:
    """Return the groups whose names are classes, and notes.

    Args:
        source: Path of the file, for the message.
        groups: Names of each group that holds any, by its title.
        classes: Known foreground classes; None if unknown.

    Raises:
        ValueError: There are several groups, and no classes are known.
    """
    if len(groups) < 2:
        return set(groups), []
    if not classes:
        listed = '; '.join(
            f'{title}: {_listed(names)}' for title, names in groups.items()
        )
        example = [n for names in groups.values() for n in sorted(set(names))]
        raise ValueError(
            f'{source} has several groups of names, and which of them are '
            f'classes is not clear ({listed}); list the classes, such as '
            f'--classes "{",".join(example[:2])}"'
        )
    index = NameIndex(split_background(classes)[0])
    kept = {
        title
        for title, names in groups.items()
        if any(index.find(name) is not None for name in names)
    }
    if not kept:
        return set(groups), []
    return kept, [
        f'no classes: {title} ({_listed(groups[title])})'
        for title in groups
        if title not in kept
    ]


def rows_of(
    found: Iterable[tuple[str, str, Iterable[tuple[str, str]]]],
    kept: Collection[str],
) -> tuple[LabelRow, ...]:
    """Return rows with the names of some groups, each name once.

    Args:
        found: Place, image, and pairs of a group and a name of it.
        kept: Groups whose names are classes.
    """
    return tuple(
        LabelRow(
            place,
            image,
            tuple(
                dict.fromkeys(name for group, name in pairs if group in kept)
            ),
        )
        for place, image, pairs in found
    )


def _listed(names: Iterable[str]) -> str:
    found = sorted(set(names))
    return ', '.join(found[:4]) + ', ...' * (len(found) > 4)
