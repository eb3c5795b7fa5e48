"""The page: one file of HTML with everything in it."""

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.run_folder.schema import ROLES, SPLITS
from mmseg_weakclip.apps.run_folder.store import RunFolder, read_run
from mmseg_weakclip.common.files import write_atomically

from .charts import training_chart
from .colors import LEAST_DIFFERENCE, Palette, recolor
from .compare import (
    LEAST_SHARE,
    TITLES,
    Comparison,
    class_titles,
    compare_images,
    pairs_of,
)
from .confusions import find_confusions
from .curves import Training, read_trainings
from .gallery import Gallery, make_gallery
from .looks import (
    LEAST_DISAGREEMENT,
    Finding,
    find_looks,
    ids_in_turn,
    to_csv,
)
from .score_charts import confusion_chart, ious_charts
from .summary import (
    OWN_STAGE,
    count_data,
    duration,
    percent,
    run_date,
    summarize,
)

PAGE = 'page.html'
STYLES = ('page.css', 'gallery.css', 'lightbox.css')
SCRIPTS = ('gallery.js', 'lightbox.js', 'page.js')
FILE, LOOKS_FILE = 'report.html', 'needs_a_look.csv'
IMAGES = 60
# Rows of a table of confusions, and of a list of images to look at, at most.
CONFUSIONS = 15
LOOKS = 12
# Rows of each kind in the CSV that the page holds; the file has all.
PAGE_ROWS = 1000
# Images that a row of a table names, at most.
NAMED = 3
# Classes in the legend of a small picture, and pairs of colours too close.
LEGEND = 4
CLOSE = 8


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        run: Run to report, with the colours of the page.
        palette: These colours, and how they were chosen.
        comparisons: Comparisons of all images of the run.
        looks: Reasons to look at images, by kind.
        gallery: Images to show.
        trainings: Losses and scores that the run's trainings logged.
    """

    run: RunFolder
    palette: Palette
    comparisons: Sequence[Comparison]
    looks: dict[str, list[Finding]]
    gallery: Gallery
    trainings: Sequence[Training]


def write_report(
    folder: str | Path, images: int = IMAGES, path: str | Path | None = None
) -> Path:
    """Write the page about a run, and ``needs_a_look.csv`` beside it.

    Args:
        folder: Folder of the run.
        images: Number of images in the gallery, at most.
        path: File to write; ``report.html`` in the folder by default.

    Returns:
        The page written.

    Raises:
        RunError: The folder does not hold a run, or a file of it is damaged.
        ImportError: jinja2 or matplotlib is not installed.
        OSError: The page or the list cannot be written.
    """
    report = read_report(read_run(folder), images)
    text = render(report)
    path = report.run.folder / FILE if path is None else Path(path)
    looks = path.with_name(LOOKS_FILE)
    write_atomically(looks, to_csv(report.looks).encode())
    write_atomically(path, text.encode())
    return path


def read_report(run: RunFolder, images: int = IMAGES) -> Report:
    """Read all that the page shows from the folder of a run.

    Args:
        run: Run to report.
        images: Number of images in the gallery, at most.

    Raises:
        RunError: A file of the run is damaged.
    """
    comparisons = compare_images(run)
    looks = find_looks(comparisons, run.names)
    run, palette = recolor(run, comparisons)
    listed = {kind: found[:LOOKS] for kind, found in looks.items()}
    return Report(
        run=run,
        palette=palette,
        comparisons=comparisons,
        looks=looks,
        gallery=make_gallery(run, comparisons, images, ids_in_turn(listed)),
        trainings=read_trainings(run),
    )


def render(report: Report) -> str:
    """Render the page as HTML.

    Raises:
        ImportError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(
            "the report needs jinja2: pip install 'mmseg_weakclip[report]'"
        ) from error
    loader = PackageLoader(str(__package__))
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
        json=lambda value: json.dumps(value, ensure_ascii=False),
        color=lambda rgb: '#{:02x}{:02x}{:02x}'.format(*rgb),
    )
    style, script = (
        '\n'.join(loader.get_source(environment, name)[0] for name in names)
        for names in (STYLES, SCRIPTS)
    )
    digest = hashlib.sha256(script.encode()).digest()
    run = report.run
    titles = class_titles(run)
    title_of = dict(zip(run.names, titles, strict=True))
    environment.filters['class_title'] = title_of.__getitem__
    return environment.get_template(PAGE).render(
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode(),
        run=run,
        title=run.folder.resolve().name,
        date=run_date(run),
        class_titles=titles,
        layer_titles={'photo': 'image', **TITLES},
        sentences=summarize(run, report.comparisons),
        data=count_data(run) if run.images else None,
        own_stage=OWN_STAGE,
        outside=run.outside,
        joined=run.joined,
        most_named=NAMED,
        splits=SPLITS,
        score_table=_score_table(run),
        charts=[
            (split, Markup(svg))
            for split, svgs in _ious_charts(run).items()
            for svg in svgs
        ],
        confusions=[
            {**entry, 'chart': Markup(entry['chart'])}
            for entry in _confusions(run)
        ],
        trainings=[
            (training, Markup(training_chart(training, _alt(training))))
            for training in report.trainings
        ],
        palette=report.palette,
        least_difference=LEAST_DIFFERENCE,
        most_close=CLOSE,
        most_legend=LEGEND,
        gallery=report.gallery,
        pairs=_pairs(report.comparisons),
        filter_classes=_filter_classes(run, report.gallery),
        least_share=LEAST_SHARE,
        commands=[shlex.join(stage.command) for stage in run.stages],
        **_look_values(report),
    )


def _look_values(report: Report) -> dict[str, Any]:
    """Return the values of the list of images that need a look."""
    run, looks = report.run, report.looks
    # Absolute, since the page is read anywhere.
    work_dir = str(run.folder.resolve())
    command = ['weakclip', 'run', '--work-dir', work_dir, '--resume']
    labels = run.options.get('labels')
    by_image: dict[str, list[Finding]] = {}
    for found in looks.values():
        for finding in found:
            by_image.setdefault(finding.image.id, []).append(finding)
    strongest = {kind: found[:PAGE_ROWS] for kind, found in looks.items()}
    return dict(
        looks=looks,
        by_image=by_image,
        most_looks=LOOKS,
        looks_total=sum(len(found) for found in looks.values()),
        looks_file=LOOKS_FILE,
        looks_in_page=sum(len(found) for found in strongest.values()),
        looks_csv=base64.b64encode(to_csv(strongest).encode()).decode(),
        least_disagreement=LEAST_DISAGREEMENT,
        anchors={
            card.comparison.image.id: f'photo-{place}'
            for place, card in enumerate(report.gallery.cards, 1)
        },
        labels_file=labels if isinstance(labels, str) else None,
        resume=shlex.join(command),
    )


def _score_table(run: RunFolder) -> list[dict[str, Any]]:
    """Return the rows of the table of mean IoUs, one per role and split."""
    return [
        {'role': ROLES[role], 'key': role, 'split': split, 'scores': scores}
        for role, splits in run.scores.items()
        for split, scores in splits.items()
    ]


def _ious_charts(run: RunFolder) -> dict[str, list[str]]:
    charts = {}
    for split in SPLITS:
        scores = {
            role: splits[split]
            for role, splits in run.scores.items()
            if split in splits
        }
        if scores:
            kinds = ', '.join(ROLES[role] for role in scores)
            label = f'Bars: IoU of each class on {split} ({kinds})'
            charts[split] = ious_charts(class_titles(run), scores, label)
    return charts


def _confusions(run: RunFolder) -> list[dict[str, Any]]:
    """Return the confusion matrices, the last role on val first."""
    found = []
    for role in reversed(run.scores):
        for split in reversed(run.scores[role]):
            matrix = run.scores[role][split].confusion
            title = f'{ROLES[role]} on {split}'
            label = f'Confusion matrix: {title}, shares of the true class'
            found.append(
                {
                    'title': title,
                    'chart': confusion_chart(class_titles(run), matrix, label),
                    'rows': find_confusions(matrix, CONFUSIONS),
                }
            )
    return found


def _alt(training: Training) -> str:
    loss = training.losses['loss'].values
    text = f'Curves of {training.title}'
    if loss:
        text += f': loss from {loss[0]:.3g} to {loss[-1]:.3g}'
    if training.miou.values:
        text += f', mIoU at last {training.miou.values[-1]:.1f} %'
    return text


def _pairs(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the pairs of masks that the gallery can be sorted by."""
    return [
        {
            'pair': pair,
            'key': '-'.join(pair),
            'title': ' / '.join(TITLES[name] for name in pair),
        }
        for pair in pairs_of(comparisons)
    ]


def _filter_classes(run: RunFolder, gallery: Gallery) -> list[dict[str, Any]]:
    """Return classes to filter by, and the number of shown images of each.

    The first class is the background, which nearly every image has.
    """
    counts = [
        sum(k in card.comparison.classes for card in gallery.cards)
        for k in range(len(run.classes))
    ]
    titles = class_titles(run)
    return [
        {'id': k, 'name': titles[k], 'count': count}
        for k, count in enumerate(counts)
        if k and count
    ]
