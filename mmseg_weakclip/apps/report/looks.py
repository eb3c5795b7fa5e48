"""Images that need a look, found without any true mask.

Only labels, seeds, pseudo masks and predictions count here, never the
ground truth: whoever corrects labels by this list must not be led by the masks
that scores are made with.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mmseg_weakclip.apps.run_folder.schema import ROLES, RunImage

from .compare import LEAST_SHARE, WEAK_PAIRS, Comparison

# Share of the pixels from which on a disagreement is worth a look.
LEAST_DISAGREEMENT = 0.1
# Share of a mask below which it does not show a class, but a few pixels.
LEAST_SHOWN = 0.001

DISAGREE, DENIED, UNSEEN = 'disagree', 'denied', 'unseen'
KINDS = (DISAGREE, DENIED, UNSEEN)
CSV_COLUMNS = ('image', 'tags', 'reason', 'class', 'share')


@dataclass(frozen=True)
class Finding:
    """A reason to look at an image.

    Attributes:
        kind: One of :data:`KINDS`.
        image: Image to look at.
        reason: Reason in words.
        name: Class that the reason is about; '' for :data:`DISAGREE`.
        share: Number of the reason, 0 to 1: share of pixels that disagree,
            share of the prediction, or of the pseudo mask, or the largest
            share of any mask.
    """

    kind: str
    image: RunImage
    reason: str
    name: str
    share: float


def find_looks(
    comparisons: Sequence[Comparison], names: Sequence[str]
) -> dict[str, list[Finding]]:
    """Return reasons to look at images, by kind, the strongest first.

    - :data:`DISAGREE`: of seed, pseudo mask and prediction, the two that
      disagree most do on at least :data:`LEAST_DISAGREEMENT` of the pixels.
    - :data:`DENIED`: a class that is not among the image's labels covers at
      least :data:`LEAST_SHARE` of the prediction.
    - :data:`UNSEEN`: a label of the image covers less than
      :data:`LEAST_SHOWN` of each of its masks, or of the last pseudo mask,
      where the segmenter may learn that it is background.

    Images without labels can neither deny a class nor miss one.

    Args:
        comparisons: Comparisons of all images.
        names: Names of all K classes, background first.
    """
    found: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for comparison in comparisons:
        found[DISAGREE] += _disagreements(comparison)
        found[DENIED] += _denied(comparison, names)
        found[UNSEEN] += _unseen(comparison, names)
    for kind, findings in found.items():
        # An unseen class is the stranger, the less of it there is.
        sign = 1 if kind == UNSEEN else -1
        findings.sort(key=lambda f: (sign * f.share, f.image.source, f.name))
    return found


def _disagreements(comparison: Comparison) -> list[Finding]:
    shares = {
        pair: comparison.shares[pair]
        for pair in WEAK_PAIRS
        if pair in comparison.shares
    }
    if not shares:
        return []
    pair = max(shares, key=lambda key: shares[key])
    if shares[pair] < LEAST_DISAGREEMENT:
        return []
    first, second = (ROLES[role] for role in pair)
    reason = f'{first} and {second} disagree'
    return [Finding(DISAGREE, comparison.image, reason, '', shares[pair])]


def _denied(comparison: Comparison, names: Sequence[str]) -> list[Finding]:
    image = comparison.image
    if not image.labels or 'predictions' not in comparison.cover:
        return []
    return [
        Finding(DENIED, image, 'predicted but not tagged', name, float(share))
        for name, share in list(
            zip(names, comparison.cover['predictions'], strict=True)
        )[1:]
        if share >= LEAST_SHARE and name not in image.labels
    ]


def _unseen(comparison: Comparison, names: Sequence[str]) -> list[Finding]:
    image = comparison.image
    masks = {r: v for r, v in comparison.cover.items() if r in ROLES}
    if not masks:
        return []
    found = []
    for name in image.labels:
        index = names.index(name)
        shares = {role: float(mask[index]) for role, mask in masks.items()}
        reason, share = 'tagged but in no mask', max(shares.values())
        last = 'masks_2' if 'masks_2' in shares else 'masks'
        if share >= LEAST_SHOWN and last in shares:
            reason = 'tagged but not in the pseudo mask'
            share = shares[last]
        if share < LEAST_SHOWN:
            found.append(Finding(UNSEEN, image, reason, name, share))
    return found


def ids_in_turn(findings: dict[str, list[Finding]]) -> list[str]:
    """Return the images of findings, one of each kind in turn, each once."""
    rows = zip_longest(*findings.values())
    return list(dict.fromkeys(f.image.id for row in rows for f in row if f))


def to_csv(findings: dict[str, list[Finding]]) -> str:
    """Return findings as a CSV file.

    Images and tags are written as the label file has them, so that they can
    be found there.

    Args:
        findings: Findings by kind, as :func:`find_looks` returns them.

    Returns:
        The columns of :data:`CSV_COLUMNS`; tags are separated by ``;``.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator='\n')
    writer.writerow(CSV_COLUMNS)
    for found in findings.values():
        for f in found:
            tags = ';'.join(f.image.labels)
            row = (f.image.source, tags, f.reason, f.name, f'{f.share:.4f}')
            writer.writerow(row)
    return buffer.getvalue()
