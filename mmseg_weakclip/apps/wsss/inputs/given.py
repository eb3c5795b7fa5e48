"""What the user gives: images, labels, masks and lists, not yet decoded."""

from dataclasses import dataclass, replace
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.apps.wsss.outside.find import open_outside
from mmseg_weakclip.apps.wsss.outside.source import OutsideMasks
from mmseg_weakclip.common.images import read_image_size

from .classes import ClassList
from .images import FoundImages, assign_ids, find_images
from .labels import Labelling, read_labelling
from .sources import find_truth, read_val_list, split_by_hash

VAL_SHARE = 0.1
# Number of image headers to read for the estimate of sizes.
PROBED = 50
UNKNOWN_SIZE = (480, 640)


@dataclass(frozen=True)
class Sources:
    """Images, labels and masks of the user, matched but not yet decoded.

    Attributes:
        ids: Id by path of the image, below the folder of images.
        labelling: Classes and labels.
        val: Paths of the images of the validation split.
        truth: True mask by path of the image.
        left_out: Files among the images that are not read, in sentences.
        outside: Masks of another tool, or None.
    """

    ids: dict[str, str]
    labelling: Labelling
    val: set[str]
    truth: dict[str, Path]
    left_out: tuple[str, ...] = ()
    outside: OutsideMasks | None = None

    @property
    def classes(self) -> ClassList:
        """All classes, without the background."""
        return self.labelling.classes


def read_sources(options: Options, classes: ClassList | None) -> Sources:
    """Read folders, labels and lists.

    Args:
        options: Options of the run.
        classes: Classes that ``--classes`` gives, or None.

    Raises:
        UserError: The user has to correct something in them.
    """
    own = [options.work_dir, options.truth, options.seeds]
    found = find_images(
        Path(options.images), [Path(path) for path in own if path is not None]
    )
    images = found.paths
    ids = assign_ids(images)
    labelling = read_labelling(
        Path(options.labels),
        images,
        classes,
        options.table,
        options.label_format,
    )
    truth: dict[str, Path] = {}
    if options.truth is not None:
        if classes is None:
            raise UserError(
                '--truth needs --classes: ids in masks are positions in a '
                'list of classes, which labels alone do not give'
            )
        truth = find_truth(Path(options.truth), images)
    labelled = list(labelling.labels)
    if options.val_list is not None:
        val = read_val_list(Path(options.val_list), labelled)
    else:
        scored = [path for path in labelled if path in truth]
        share = options.val_share
        if share is None:
            # Nothing but true masks makes use of images that are kept.
            share = VAL_SHARE if truth else 0.0
        val = split_by_hash(labelling.labels, share, scored)
    outside = None
    if options.seeds is not None:
        outside = open_outside(
            options, images, labelling.classes, is_ordered=classes is not None
        )
    own_files = {Path(options.labels).name}
    left_out = tuple(
        FoundImages(
            images, [p for p in found.others if p not in own_files]
        ).describe_others()
    )
    return Sources(ids, labelling, val, truth, left_out, outside)


def list_images(sources: Sources) -> list[RunImage]:
    """Return the images of a run; files and sizes are not known yet.

    Args:
        sources: Images, labels and masks of the user.
    """
    names = sources.classes.names
    images = []
    for path, image_id in sources.ids.items():
        labels = sources.labelling.labels.get(path, ())
        split = 'val' if path in sources.val else 'train'
        truth = f'truth/{image_id}.png' if path in sources.truth else None
        images.append(
            RunImage(
                id=image_id,
                source=path,
                file='',
                size=(0, 0),
                original_size=(0, 0),
                split=split if labels else 'unlabelled',
                labels=tuple(names[i] for i in labels),
                truth=truth,
            )
        )
    return images


def estimate_sizes(sources: Sources, options: Options) -> list[RunImage]:
    """Return the images of a run with sizes estimated from a sample.

    Args:
        sources: Images, labels and masks of the user.
        options: Options of the user.
    """
    folder = Path(options.images)
    images = list_images(sources)
    step = max(1, len(images) // PROBED)
    sizes = []
    for image in images[::step]:
        try:
            sizes.append(read_image_size(str(folder / image.source)))
        except (OSError, ValueError):
            # The first stage names all damaged images.
            sizes.append(UNKNOWN_SIZE)
    planned = []
    for number, image in enumerate(images):
        size = sizes[(number // step) % len(sizes)]
        scale = min(1.0, options.max_side / max(size))
        height, width = (max(1, round(side * scale)) for side in size)
        planned.append(
            replace(image, size=(height, width), original_size=size)
        )
    return planned
