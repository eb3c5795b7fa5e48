"""Charts of scores: IoU of each class, and confusion."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmseg_weakclip.apps.run_folder.schema import ROLES, SplitScores

from .charts import ROLE_COLORS, render_figure, shorten
from .confusions import normalize_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 41
# Most classes for which a confusion matrix has numbers in its cells.
MOST_NUMBERS = 12


def value_or(value: float | None, other: float) -> float:
    """Return a value, or another if it is None."""
    return other if value is None else value


def ious_charts(
    names: Sequence[str], scores: Mapping[str, SplitScores], label: str
) -> list[str]:
    """Chart the IoU of each class as bars, with a colour for each role.

    The best class of the last role stands at the top; classes that have no
    pixel at all are left out.

    Args:
        names: Names of all K classes.
        scores: Scores of one split by role.
        label: Alternative text: what the chart shows.

    Returns:
        Charts of at most :data:`MOST_BARS` classes each.
    """
    last = list(scores.values())[-1]
    present = [
        place
        for place in range(len(names))
        if any(s.ious[place] is not None for s in scores.values())
    ]
    # Percentages: a class without a score comes last.
    present.sort(key=lambda k: -value_or(last.ious[k], -1.0))
    return [
        _ious_chart(names, scores, present[start : start + MOST_BARS], label)
        for start in range(0, len(present), MOST_BARS)
    ]


def _ious_chart(
    names: Sequence[str],
    scores: Mapping[str, SplitScores],
    shown: Sequence[int],
    label: str,
) -> str:
    thick = 0.84 / len(scores)

    def draw(figure: 'Figure') -> None:
        axes = figure.add_subplot()
        rows = np.arange(len(shown))
        for place, (role, score) in enumerate(scores.items()):
            values = [score.ious[k] or 0 for k in shown]
            bars = axes.barh(
                rows - 0.42 + (place + 0.5) * thick,
                values,
                thick * 0.92,
                color=ROLE_COLORS[role],
                label=ROLES[role],
            )
            axes.bar_label(
                bars,
                [
                    'none' if score.ious[k] is None else f'{v:.0f}'
                    for k, v in zip(shown, values)
                ],
                padding=2,
                fontsize=7,
            )
        axes.set_yticks(rows, [shorten(names[k]) for k in shown])
        axes.tick_params(left=False)
        axes.set_xlim(0, 105)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel('IoU, %')
        axes.grid(axis='x')
        figure.legend(loc='outside upper left', ncols=len(scores))

    height = 0.9 + len(shown) * (0.13 * len(scores) + 0.1)
    return render_figure((5, height), draw, label)


def confusion_chart(
    names: Sequence[str], confusion: np.ndarray, label: str
) -> str:
    """Chart a confusion matrix in shares of each row; empty rows stay blank.

    Args:
        names: Names of all K classes.
        confusion: Numbers of pixels, (K, K), rows truth.
        label: Alternative text: what the chart shows.
    """
    count = len(names)
    shares = 100 * normalize_rows(confusion)
    shown = [shorten(name) for name in names]
    small = count <= MOST_NUMBERS
    # Inches: a matrix of 81 classes is as wide as the page.
    cell = 0.42 if small else max(0.11, min(0.165, 10.2 / count))
    font = 8 if small else 44 * cell

    def draw(figure: 'Figure') -> None:
        from matplotlib.colors import PowerNorm

        axes = figure.add_subplot()
        # Square root, since most confusions are a few percent.
        norm = PowerNorm(0.5, 0, 100)
        image = axes.imshow(shares, 'cividis', norm=norm, interpolation='none')
        axes.set_xticks(range(count), shown, rotation=90, fontsize=font)
        axes.set_yticks(range(count), shown, fontsize=font)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel('taken for')
        axes.set_ylabel('true class')
        bar = figure.colorbar(
            image,
            location='top',
            shrink=0.8,
            aspect=30 + count,
            pad=0.02,
            ticks=(0, 1, 5, 10, 25, 50, 100),
        )
        bar.set_label('% of the pixels of the true class')
        bar.outline.set_visible(False)
        if small:
            _write_cells(axes, shares)

    side = 2.2 + cell * count
    return render_figure((max(3.4, side), max(3.6, side + 0.4)), draw, label)


def _write_cells(axes: 'Axes', shares: np.ndarray) -> None:
    for i, j in np.ndindex(shares.shape):
        if shares[i, j] >= 0.5:  # neither empty nor rounded to 0
            color = 'black' if shares[i, j] > 30 else 'white'
            value = f'{shares[i, j]:.0f}'
            axes.text(
                j, i, value, ha='center', va='center', color=color, fontsize=8
            )
