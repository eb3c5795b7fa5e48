"""Average precision of an image classifier, class by class, on image labels.

It tells whether a classifier has learnt its classes before masks are made of
its maps. No mask is read.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from prettytable import PrettyTable

from mmseg_weakclip.common.files import write_atomically

# A class is judged if it has at least as many images with it, and without.
FEWEST = 5
# Share of the way from chance (0) to perfection (1) that counts as learnt.
LEARNT = 0.15
# What a class's row says.
GOOD, POOR, FEW = 'learnt', 'near chance', 'too few images'


def average_precision(scores: np.ndarray, present: np.ndarray) -> float:
    """Return the mean precision over the images that show a class.

    Equal scores count as their expectation in random order, so constant
    scores give what chance gives.

    Args:
        scores: Score of each image, (N,).
        present: Whether each image shows the class, bool, (N,).

    Returns:
        In (0, 1]; NaN if no image shows the class.
    """
    if not present.any():
        return float('nan')
    order = np.argsort(-scores, kind='stable')
    scores, present = scores[order], present[order].astype(np.float64)
    # Ends of the groups of equal scores.
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    hits = np.cumsum(present)[ends]
    starts = np.concatenate([[0], ends[:-1] + 1])
    total = 0.0
    for start, end, above in zip(starts, ends, np.append(0, hits[:-1])):
        size, own = end - start + 1, hits[np.searchsorted(ends, end)] - above
        if not own:
            continue
        # An image of the group stands at place 1..size behind `above` hits.
        places = np.arange(1, size + 1)
        before = (own - 1) * (places - 1) / max(1, size - 1)
        precision = (above + before + 1) / (start + places)
        total += own * float(precision.mean())
    return total / float(present.sum())


def judge_class(precision: float, chance: float, images: int, of: int) -> str:
    """Return what to say of a class.

    Args:
        precision: Its average precision.
        chance: Average precision of scores without meaning.
        images: Number of images that show it.
        of: Number of all images.

    Returns:
        ``GOOD``, ``POOR`` or ``FEW``.
    """
    if min(images, of - images) < FEWEST:
        return FEW
    return GOOD if precision - chance >= LEARNT * (1 - chance) else POOR


@METRICS.register_module()
class TagPrecision(BaseMetric):
    """Average precision of each class over images with labels, in percent.

    For a ``CAMHead`` with ``predicts='tags'``, or any model whose mean logit
    over pixels is an image's score. The result is the mean over the classes
    that can be judged; a table is logged, with the classes near chance.

    Args:
        out_file: JSON file for the values of all classes; None writes none.
        kwargs: See ``BaseMetric``.
    """

    default_prefix = 'tags'

    def __init__(self, out_file: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.out_file = out_file

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take scores and labels of each image; see ``BaseMetric.process``.

        Raises:
            ValueError: An image has no labels.
        """
        for sample in data_samples:
            if 'image_labels' not in sample:
                raise ValueError(
                    f'{sample.get("img_path")} comes without image labels: '
                    'add LoadImageLabels to the test pipeline and '
                    "'image_labels' to the meta_keys of PackSegInputs"
                )
            logits = sample['seg_logits']['data'].float().mean((-2, -1))
            self.results.append(
                (logits.cpu().numpy(), tuple(sample['image_labels']))
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics; see ``BaseMetric.compute_metrics``."""
        names = list(self.dataset_meta['classes'])
        scores = np.stack([own for own, _ in results])
        present = np.zeros(scores.shape, bool)
        for row, (_, labels) in zip(present, results):
            row[list(labels)] = True
        rows: dict[str, dict[str, Any]] = {}
        for index, name in enumerate(names[1:], 1):
            own = present[:, index]
            images = int(own.sum())
            value = average_precision(scores[:, index], own)
            chance = average_precision(np.zeros(len(own)), own)
            rows[name] = dict(
                images=images,
                precision=None if not images else round(100 * value, 2),
                chance=None if not images else round(100 * chance, 2),
                judgement=judge_class(value, chance, images, len(results)),
            )
        found = dict(images=len(results), classes=rows)
        table = PrettyTable(['class', 'images', 'AP', 'chance', ''])
        for name, row in rows.items():
            table.add_row([name, *row.values()])
        logger = MMLogger.get_current_instance()
        logger.info(
            'average precision of tags, %d images:\n%s',
            len(results),
            table.get_string(),
        )
        for line in describe_tags(found):
            logger.warning(line)
        if self.out_file is not None:
            path = Path(self.out_file)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(found, indent=1).encode())
        judged = [
            row['precision']
            for row in rows.values()
            if row['judgement'] != FEW
        ]
        return dict(
            mAP=round(float(np.mean(judged)), 2) if judged else float('nan'),
            judged=len(judged),
        )


def describe_tags(found: dict[str, Any]) -> list[str]:
    """Return a line for each thing that is wrong with a classifier.

    Args:
        found: Content of the file of :class:`TagPrecision`.
    """
    classes: dict[str, dict[str, Any]] = found['classes']
    lines = []
    judged = [n for n, row in classes.items() if row['judgement'] != FEW]
    poor = [n for n, row in classes.items() if row['judgement'] == POOR]
    few = [n for n, row in classes.items() if row['judgement'] == FEW]
    if judged and poor == judged:
        lines.append(
            f'the classifier has learnt nothing: all {len(judged)} classes '
            'that can be judged are near chance on held-out images, so masks '
            'of its maps mean nothing; train longer, start from pretrained '
            'weights, or check the labels'
        )
    elif poor:
        lines.append(
            'near chance on held-out images, so their masks mean little: '
            + ', '.join(
                f'{name} (AP {classes[name]["precision"]:.0f} %, chance '
                f'{classes[name]["chance"]:.0f} %)'
                for name in poor
            )
        )
    if few:
        lines.append(
            f'not judged, fewer than {FEWEST} of the {found["images"]} '
            f'held-out images with or without them: {", ".join(few)}'
        )
    return lines
