"""The images of a run before any of them is decoded."""

from dataclasses import replace
from pathlib import Path

from mmseg_weakclip.apps.run_folder.index import ImageEntry
from mmseg_weakclip.common.images import read_image_size

from .options import Options
from .prepare import Sources, plan_entries

# Headers that are read to know how large the images are.
PROBED = 50
UNKNOWN_SIZE = (480, 640)


def planned_entries(sources: Sources, options: Options) -> list[ImageEntry]:
    """All images, with sizes as those of some of them.

    Args:
        sources: What the user gave.
        options: Of the run.
    """
    folder = Path(options.images)
    entries = plan_entries(sources)
    step = max(1, len(entries) // PROBED)
    sizes = []
    for entry in entries[::step]:
        try:
            sizes.append(read_image_size(str(folder / entry.source)))
        except (OSError, ValueError):
            # The first stage says so of all damaged images.
            sizes.append(UNKNOWN_SIZE)
    planned = []
    for number, entry in enumerate(entries):
        height, width = sizes[(number // step) % len(sizes)]
        scale = min(1.0, options.max_side / max(height, width))
        planned.append(
            replace(
                entry,
                width=max(1, round(width * scale)),
                height=max(1, round(height * scale)),
                original_width=width,
                original_height=height,
            )
        )
    return planned
