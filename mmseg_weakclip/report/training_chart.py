"""The chart of a training: its losses, and mIoU at its validations."""

from typing import TYPE_CHECKING

from .curves import Training
from .figure import LINE_COLORS, ROLE_COLORS, render_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_chart(training: Training, label: str) -> str:
    """Losses over iterations, and below mIoU over validations, if any.

    Args:
        training: What was logged.
        label: What it shows, for those who cannot see it.
    """

    def draw(figure: 'Figure') -> None:
        rows = 2 if training.miou.steps else 1
        panels = figure.subplots(rows, squeeze=False)[:, 0]
        positive = all(
            v > 0 for c in training.losses.values() for v in c.values
        )
        for place, (key, curve) in enumerate(training.losses.items()):
            panels[0].plot(
                curve.steps,
                curve.values,
                color=LINE_COLORS[place % len(LINE_COLORS)],
                linestyle=('-', '--', ':', '-.')[place % 4],
                linewidth=1.8 if place == 0 else 1.2,
                marker='o' if len(curve.steps) < 3 else None,
                markersize=3,
                label=shorten(key, 40),
            )
        if positive:
            _scale_by_factors(panels[0])
        panels[0].set_ylabel('loss, log scale' if positive else 'loss')
        panels[0].set_xlabel('iteration')
        figure.legend(loc='outside upper left', ncols=2, fontsize=8)
        if rows == 2:
            panels[1].plot(
                training.miou.steps,
                training.miou.values,
                color=ROLE_COLORS['predictions'],
                marker='o',
                markersize=4,
            )
            for point in zip(training.miou.steps, training.miou.values):
                panels[1].annotate(
                    f'{point[1]:.1f}',
                    point,
                    (0, -11),
                    textcoords='offset points',
                    ha='center',
                    fontsize=7,
                )
            panels[1].margins(x=0.06, y=0.25)
            panels[1].set_ylabel('mIoU, %')
            panels[1].set_xlabel(training.miou_unit)
        for panel in panels:
            panel.grid()

    return render_figure((5, 4.6 if training.miou.steps else 2.9), draw, label)


def _scale_by_factors(axes: 'Axes') -> None:
    """A logarithmic scale with plain numbers, for mathtext is off."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale('log')
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high > 20 * low else (1, 2, 3, 4, 5, 7)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f'{v:g}'))
    axes.yaxis.set_minor_locator(NullLocator())
