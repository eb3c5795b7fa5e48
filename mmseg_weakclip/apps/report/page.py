"""The page: one file of HTML with everything in it."""

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.run_folder.schema import ROLES, SPLITS
from mmseg_weakclip.apps.run_folder.store import RunFolder, read_run
from mmseg_weakclip.common.files import write_atomically

from .charts import training_chart
from .compare import LEAST_SHARE, Comparison, compare_images, pairs_of
from .confusions import find_confusions
from .curves import Training, read_trainings
from .gallery import Gallery, make_gallery
from .score_charts import confusion_chart, ious_charts
from .summary import OWN_STAGE, count_data, duration, summarize

PAGE, STYLE, SCRIPT = 'page.html', 'page.css', 'page.js'
FILE = 'report.html'
IMAGES = 60
# Rows of a table of confusions, at most.
CONFUSIONS = 15


def write_report(
    folder: str | Path, images: int = IMAGES, path: str | Path | None = None
) -> Path:
    """Write the page about a run.

    Args:
        folder: Folder of the run.
        images: Number of images in the gallery, at most.
        path: File to write; ``report.html`` in the folder by default.

    Returns:
        The file written.

    Raises:
        RunError: The folder does not hold a run, or a file of it is damaged.
        ImportError: jinja2 or matplotlib is not installed.
        OSError: The page cannot be written.
    """
    run = read_run(folder)
    comparisons = compare_images(run)
    gallery = make_gallery(run, comparisons, images)
    text = render(run, comparisons, gallery, read_trainings(run))
    path = run.folder / FILE if path is None else Path(path)
    write_atomically(path, text.encode())
    return path


def render(
    run: RunFolder,
    comparisons: Sequence[Comparison],
    gallery: Gallery,
    trainings: Sequence[Training],
) -> str:
    """Render the page as HTML.

    Args:
        run: Run to report.
        comparisons: Comparisons of all images of the run.
        gallery: Images to show.
        trainings: Losses and scores that the run's trainings logged.

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
        json=lambda value: json.dumps(value, ensure_ascii=False),
        color=lambda rgb: '#{:02x}{:02x}{:02x}'.format(*rgb),
    )
    style, script = (
        loader.get_source(environment, name)[0] for name in (STYLE, SCRIPT)
    )
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template(PAGE).render(
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode(),
        run=run,
        title=run.folder.resolve().name,
        sentences=summarize(run, comparisons),
        data=count_data(run) if run.images else None,
        own_stage=OWN_STAGE,
        roles=ROLES,
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
            for training in trainings
        ],
        gallery=gallery,
        pairs=_pairs(comparisons),
        filter_classes=_filter_classes(run, gallery),
        least_share=LEAST_SHARE,
        commands=[shlex.join(stage.command) for stage in run.stages],
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
            charts[split] = ious_charts(run.names, scores, label)
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
                    'chart': confusion_chart(run.names, matrix, label),
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
            'title': ' / '.join(ROLES.get(name, name) for name in pair),
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
    return [
        {'id': k, 'name': run.names[k], 'count': count}
        for k, count in enumerate(counts)
        if k and count
    ]
