"""The page of a comparison: one file of HTML with everything in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mmseg_weakclip.apps.report.compare import IGNORED, class_titles
from mmseg_weakclip.apps.report.gallery import (
    describe_mask,
    encode_jpeg,
    picture_size,
    rank_classes,
    read_photo,
)
from mmseg_weakclip.apps.report.summary import duration, percent
from mmseg_weakclip.common.overlay import blend_classes, class_shares

from .measures import (
    EVERYWHERE,
    TINY,
    Agreement,
    TagCounts,
    agreements,
    count_tags,
    labelled_share,
    mean_iou,
)
from .results import Result

PAGE = 'compare.html'
STYLES = ('page.css', 'compare.css')
SIDE = 320
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class MethodComparison:
    """What the page shows.

    Attributes:
        results: Runs of the methods, in the user's order.
        photos: Paths of the photos.
        masks: Masks of each method, in the order of the photos.
        truths: The user's masks of the photos, or None.
        commands: Command to go on with each method.
        missing: Number of chosen photos of which a method has no mask.
        labelled: Number of all photos with tags.
    """

    results: Sequence[Result]
    photos: Sequence[str]
    masks: Sequence[Sequence[np.ndarray]]
    truths: Sequence[np.ndarray | None]
    commands: Sequence[str]
    missing: int
    labelled: int

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.results[0].run.classes)

    @property
    def tags(self) -> list[list[int]]:
        """Class ids of the tags of each photo."""
        first = self.results[0]
        names = first.run.names
        return [
            [names.index(name) for name in first.images[path].labels]
            for path in self.photos
        ]

    @property
    def pairs(self) -> dict[tuple[int, int], Agreement]:
        """Agreement of each pair of methods."""
        return agreements(self.masks, self.num_classes)

    @property
    def tag_counts(self) -> list[dict[int, TagCounts]]:
        """Counts of each tag, by method."""
        return [
            count_tags(masks, self.tags, self.num_classes)
            for masks in self.masks
        ]

    @property
    def coverage(self) -> list[float]:
        """Share of pixels that each method labels, 0 to 1."""
        return [labelled_share(masks) for masks in self.masks]

    @property
    def scores(self) -> list[float | None]:
        """Mean IoU of each method where the user has masks, in percent.

        Pixels that a method leaves unsure count as wrong.
        """
        painted = [i for i, one in enumerate(self.truths) if one is not None]
        truths = [one for one in self.truths if one is not None]
        return [
            mean_iou([masks[i] for i in painted], truths, self.num_classes)
            for masks in self.masks
        ]


def paint_photo(
    photo: np.ndarray,
    mask: np.ndarray,
    colors: Sequence[Sequence[int]],
) -> np.ndarray:
    """Paint classes over a photo, without the background.

    Args:
        photo: RGB, uint8, (H, W, 3).
        mask: Class ids, (H, W); 255 becomes white.
        colors: Colour of each class, background first.

    Returns:
        RGB, uint8, (H, W, 3).
    """
    unpainted = len(colors)
    ids = mask.astype(np.int64) - 1
    ids[mask == 0] = unpainted
    ids[mask == IGNORED] = unpainted - 1
    return blend_classes(photo, ids, [*colors[1:], WHITE])


def render_comparison(comparison: MethodComparison) -> str:
    """Render the page as HTML.

    Raises:
        ImportError: jinja2 is not installed.
        RunError: A photo is damaged.
    """
    try:
        from jinja2 import (
            ChoiceLoader,
            Environment,
            PackageLoader,
            StrictUndefined,
        )
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(
            "the page needs jinja2: pip install 'mmseg_weakclip[report]'"
        ) from error
    loader = ChoiceLoader(
        [
            PackageLoader(str(__package__)),
            PackageLoader('mmseg_weakclip.apps.report'),
        ]
    )
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=duration,
        percent=percent,
        color=lambda rgb: '#{:02x}{:02x}{:02x}'.format(*rgb),
    )
    style = '\n'.join(
        loader.get_source(environment, name)[0] for name in STYLES
    )
    run = comparison.results[0].run
    return environment.get_template(PAGE).render(
        style=Markup(style),
        run=run,
        titles=[result.contender.title for result in comparison.results],
        class_titles=class_titles(run),
        comparison=comparison,
        pairs=comparison.pairs,
        counts=comparison.tag_counts,
        tags=sorted({tag for own in comparison.tags for tag in own}),
        coverage=comparison.coverage,
        scores=comparison.scores,
        painted=sum(one is not None for one in comparison.truths),
        notes=sorted(
            {note for one in comparison.results for note in one.run.notes}
        ),
        rows=[_row(comparison, i) for i in range(len(comparison.photos))],
        tiny=TINY,
        everywhere=EVERYWHERE,
    )


def _row(comparison: MethodComparison, place: int) -> dict[str, Any]:
    """Return the pictures of one photo."""
    first = comparison.results[0]
    path = comparison.photos[place]
    image = first.images[path]
    size = picture_size(image.size, SIDE)
    small = read_photo(first.run, image).resize(
        size[::-1], Image.Resampling.LANCZOS
    )
    titles = class_titles(first.run)
    colors = [info.color for info in first.run.classes]
    masks = [masks[place] for masks in comparison.masks]
    names = [result.contender.title for result in comparison.results]
    truth = comparison.truths[place]
    if truth is not None:
        masks, names = [*masks, truth], [*names, 'your mask']
    pictures: list[dict[str, Any]] = [
        dict(title='photo', data=encode_jpeg(small), alt=path, legend=())
    ]
    for name, mask in zip(names, masks, strict=True):
        legend = rank_classes(class_shares(mask, len(colors)))
        resized = Image.fromarray(mask).resize(
            size[::-1], Image.Resampling.NEAREST
        )
        painted = paint_photo(np.asarray(small), np.asarray(resized), colors)
        pictures.append(
            dict(
                title=name,
                data=encode_jpeg(Image.fromarray(painted)),
                alt=f'{name}: {describe_mask(mask, legend, titles)}',
                legend=[(k, share) for k, share in legend if k],
                unsure=float((mask == IGNORED).mean()),
            )
        )
    return dict(path=path, size=size, tags=image.labels, pictures=pictures)
