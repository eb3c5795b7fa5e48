"""The methods to compare, their folders, and the runs that make the masks."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import MANIFEST
from mmseg_weakclip.apps.wsss.affinity import CLIP
from mmseg_weakclip.apps.wsss.arguments import require_choice
from mmseg_weakclip.apps.wsss.options import (
    CLASSIFIERS,
    METHODS,
    SEEDS,
    WITHOUT_CLIP,
)
from mmseg_weakclip.apps.wsss.stages import stages_of

from .photos import CLASSES, LABELS, PHOTOS, TRUTH

# Stage after which the masks of a method are there.
LAST = 'masks'
# Segmenter of the runs, which do not come to it: it needs no weights.
PLACEHOLDER = 'fpn_small'


@dataclass(frozen=True)
class Contender:
    """A method that is compared.

    Attributes:
        title: How the page calls it: its name, with the end of its folder.
        method: Value of ``--method``.
        seeds: Masks of another tool, for ``'seeds'``; else None.
        folder: Folder of its run.
    """

    title: str
    method: str
    seeds: str | None
    folder: Path

    @property
    def trainings(self) -> tuple[str, ...]:
        """Stages up to the masks that train something."""
        names = []
        for stage in stages_of(self.method):
            if stage.kind == 'train':
                names.append(stage.name)
            if stage.name == LAST:
                break
        return tuple(names)

    @property
    def uses_clip(self) -> bool:
        """Whether the method needs CLIP."""
        return self.method not in WITHOUT_CLIP


def parse_methods(text: str, work_dir: Path) -> list[Contender]:
    """Return the methods that ``--methods`` names.

    Args:
        text: Names between commas; ``seeds:DIR`` for masks of another tool.
        work_dir: Folder of the comparison.

    Raises:
        UserError: A method is unknown or named twice, ``seeds`` comes
            without a folder, or there is only one.
    """
    found: list[Contender] = []
    names = [part.strip() for part in text.split(',') if part.strip()]
    for given, title in zip(names, short_titles(names)):
        method, colon, seeds = given.partition(':')
        require_choice('methods', method, METHODS)
        if (method == SEEDS) != bool(seeds) or colon and not seeds:
            raise UserError(
                f'--methods {given}: write {SEEDS}:DIR for the masks of '
                'another tool, and the other methods without a colon'
            )
        if title in [one.title for one in found]:
            raise UserError(f'--methods names {given} twice')
        same = sum(one.method == method for one in found)
        name = method if not same else f'{method}_{same + 1}'
        found.append(
            Contender(
                title,
                method,
                str(Path(seeds).absolute()) if seeds else None,
                work_dir / name,
            )
        )
    if len(found) < 2:
        raise UserError(
            f'--methods {text} is one method; name two or more, such as '
            'excel,clipes,cam'
        )
    return found


def short_titles(names: Sequence[str]) -> list[str]:
    """Return titles of methods: of a folder no more than tells it apart.

    Args:
        names: Methods as the user wrote them, such as ``seeds:a/masks``.
    """
    titles = []
    for name in names:
        method, colon, seeds = name.partition(':')
        parts = Path(seeds).parts
        others = [
            Path(other.partition(':')[2]).parts
            for other in names
            if other != name and other.startswith(f'{method}:')
        ]
        length = 1
        while length < len(parts) and any(
            other[-length:] == parts[-length:] for other in others
        ):
            length += 1
        tail = '/'.join(parts[-length:]) if parts else seeds
        titles.append(f'{method}{colon}{tail}')
    return titles


def run_arguments(
    one: Contender,
    given: Mapping[str, Any],
    work_dir: Path,
    table: Mapping[str, str],
) -> argparse.Namespace:
    """Return the arguments of the run that makes a method's masks.

    A method that trains gets all photos. The others get those that are shown.

    Args:
        one: Method of the run.
        given: Arguments of the user, those of ``weakclip run``.
        work_dir: Folder of the comparison.
        table: Options that read its table of tags.
    """
    values = own_arguments(one, given)
    if not one.trainings:
        values.update(
            images=str(work_dir / PHOTOS),
            labels=str(work_dir / LABELS),
            val_share=0.0,
            **table,
        )
        values.pop('val_list', None)
        if 'truth' in values:
            values['truth'] = str(work_dir / TRUTH)
    # One list for all methods, so that their ids mean the same. The ids in
    # another tool's masks are checked against what the user gave: check_runs.
    values.setdefault('classes', str(work_dir / CLASSES))
    values.update(work_dir=str(one.folder), segmenter=PLACEHOLDER, until=LAST)
    if (one.folder / MANIFEST).is_file():
        values['resume'] = True
    return argparse.Namespace(**values)


def own_arguments(one: Contender, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's arguments without those of other methods."""
    values = dict(given, method=one.method)
    others = {
        'clip': one.uses_clip,
        'backbone': one.method in CLASSIFIERS,
        'seed_': one.method == SEEDS,
        'affinity': one.method != SEEDS
        and not (given.get('affinity') == CLIP and one.method in CLASSIFIERS),
    }
    for start, wanted in others.items():
        if not wanted:
            values = {
                key: value
                for key, value in values.items()
                if not key.startswith(start)
            }
    if one.seeds is not None:
        values['seeds'] = one.seeds
    return values


def next_command(
    one: Contender,
    given: Mapping[str, Any],
    segmenter: Mapping[str, Any],
    work_dir: Path,
) -> str:
    """Return the command that goes on with a method.

    Args:
        one: Method to go on with.
        given: Arguments of the user, those of ``weakclip run``.
        segmenter: Those about the segmenter.
        work_dir: Folder of the comparison.
    """
    if one.trainings:
        # All photos have been seen: the run goes on where it is.
        values = {'work_dir': one.folder, **segmenter, 'resume': True}
    else:
        values = {
            'work_dir': work_dir / f'{one.folder.name}_all',
            **own_arguments(one, given),
            **segmenter,
        }
    words = ['weakclip', 'run']
    for key, value in values.items():
        words.append(f'--{key.replace("_", "-")}')
        if value is not True:
            words.append(str(value))
    return shlex.join(words)
