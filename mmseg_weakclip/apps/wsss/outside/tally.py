"""What the import of another tool's masks found, in numbers and lines."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.apps.run_folder.schema import RunImage

from .source import OutsideMasks
from .veto import COMPLETE_REST, OPEN_REST

SHOWN = 3
RESTS = {
    'background': 'background',
    OPEN_REST: 'unsure',
    COMPLETE_REST: 'background where each label of the image has a pixel, '
    'else unsure',
}


def summarize_import(
    masks: OutsideMasks,
    records: Sequence[dict[str, Any]],
    images: Sequence[RunImage],
    rest: str,
) -> dict[str, Any]:
    """Return what the veto did, as JSON values.

    Args:
        masks: Masks of the other tool.
        records: Records of the images, see ``Importer``.
        images: Labelled images, in the same order.
        rest: What pixels of no class are.

    Returns:
        ``path``, ``title`` and ``rest`` of the masks; ``images``, their
        number; ``labelled``, the mean share of labelled pixels; paths of
        images, ``missing`` a mask and ``left_out`` of the training; and, for
        each name of a class, ``vetoed``: ``pixels`` and paths of ``images``,
        and ``absent``: paths of ``images`` without a pixel of their label,
        and ``of``, the number with the label.
    """
    vetoed: dict[str, dict[str, Any]] = {}
    absent: dict[str, list[str]] = defaultdict(list)
    labelled: dict[str, int] = defaultdict(int)
    for record, image in zip(records, images, strict=True):
        for name, pixels in record['removed'].items():
            entry = vetoed.setdefault(name, dict(pixels=0, images=[]))
            entry['pixels'] += pixels
            entry['images'].append(image.source)
        for name, pixels in record['pixels'].items():
            labelled[name] += 1
            # Where there is no mask, all its labels lack pixels.
            if not pixels and not record['missing']:
                absent[name].append(image.source)
    shares = [record['labelled'] for record in records]
    pairs = list(zip(records, images))
    return dict(
        path=str(masks.path),
        title=masks.title,
        rest=RESTS[rest],
        images=len(records),
        labelled=sum(shares) / max(1, len(shares)),
        missing=[i.source for r, i in pairs if r['missing']],
        left_out=[
            i.source
            for r, i in pairs
            if not r['labelled'] and i.split == 'train'
        ],
        vetoed=vetoed,
        absent={
            name: dict(images=found, of=labelled[name])
            for name, found in absent.items()
        },
    )


def describe_import(summary: dict[str, Any]) -> list[str]:
    """Return what the veto did, a line for each thing that was found.

    Args:
        summary: See :func:`summarize_import`.
    """
    images, missing = summary['images'], summary['missing']
    lines = [
        f'{count(images - len(missing), "mask")} read as {summary["title"]}; '
        f'{100 * summary["labelled"]:.0f} % of the pixels have a label; '
        f'pixels of no class: {summary["rest"]}'
    ]
    if missing:
        lines.append(
            f'{count(len(missing), "image")} without a mask: {named(missing)}'
        )
    for name, entry in summary['vetoed'].items():
        lines.append(
            f'vetoed: {name} in {count(len(entry["images"]), "image")} '
            f'without that label, {count(entry["pixels"], "pixel")} made '
            f'unsure: {named(entry["images"])}'
        )
    for name, entry in summary['absent'].items():
        lines.append(
            f'label without a pixel: {name} in {len(entry["images"])} of '
            f'{count(entry["of"], "image")}: {named(entry["images"])}'
        )
    if summary['left_out']:
        lines.append(
            f'{count(len(summary["left_out"]), "image")} without a labelled '
            f'pixel left out of the training: {named(summary["left_out"])}'
        )
    return lines


def named(paths: Sequence[str]) -> str:
    """Return the first paths, and whether there are more."""
    more = ', ...' if paths[SHOWN:] else ''
    return ', '.join(paths[:SHOWN]) + more
