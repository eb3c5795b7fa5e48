"""Charts as SVG that take their colours and their font from the page."""

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, cast

from mmseg_weakclip.apps.run_folder.schema import ROLES

from .curves import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Placeholder colours, each replaced by a CSS colour of the page.
TEXT, GRID = '#010203', '#010204'
ROLE_COLORS = dict(zip(ROLES, ('#010205', '#010206', '#010208', '#010207')))
LINE_COLORS = tuple(f'#0102{10 + place}' for place in range(6))
PAGE_COLORS = {
    TEXT: 'currentColor',
    GRID: 'var(--grid)',
    **{color: f'var(--{role})' for role, color in ROLE_COLORS.items()},
    **{
        color: f'var(--line{place})' for place, color in enumerate(LINE_COLORS)
    },
}
STYLE = {
    'svg.fonttype': 'none',  # text stays text
    'text.parse_math': False,  # a class may be called $a$
    'font.size': 9,
    'axes.linewidth': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
    'legend.frameon': False,
    'grid.linewidth': 0.6,
    'grid.color': GRID,
    **dict.fromkeys(
        (
            'text.color',
            'axes.labelcolor',
            'axes.edgecolor',
            'xtick.color',
            'ytick.color',
        ),
        TEXT,
    ),
}
LONGEST_NAME = 24


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Shorten a name to leave room for the chart."""
    return name if len(name) <= longest else f'{name[: longest - 1]}…'


def render_figure(
    size: tuple[float, float],
    draw: Callable[['Figure'], None],
    label: str,
) -> str:
    """Render a chart as ``<svg>``.

    Args:
        size: Width and height in inches.
        draw: Function that draws the axes on a figure.
        label: Alternative text: what the chart shows.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "the report needs matplotlib: pip install 'mmseg_weakclip[report]'"
        ) from error
    buffer = io.StringIO()
    with rc_context(cast(Any, STYLE)), warnings.catch_warnings():
        # The browser has the letters that matplotlib's font lacks.
        warnings.filterwarnings('ignore', message='Glyph .* missing')
        figure = Figure(size, layout='constrained')
        draw(figure)
        nothing = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
        figure.savefig(
            buffer, format='svg', transparent=True, metadata=nothing
        )
    return adapt_svg(buffer.getvalue(), label, PAGE_COLORS)


def adapt_svg(svg: str, label: str, colors: Mapping[str, str]) -> str:
    """Adapt a stand-alone SVG to be a part of a page.

    Args:
        svg: SVG file as matplotlib writes it.
        label: Alternative text: what the chart shows.
        colors: Colour in the SVG (``#rrggbb``) -> CSS value to replace it.

    Returns:
        ``<svg>``, without prolog, styles and fonts of its own; its ids are
        unique on the page.
    """
    svg = svg[svg.index('<svg ') :]
    svg = re.sub(r'<style.*?</style>', '', svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', '', svg)
    svg = re.sub(r'font-family: [^;"]*;? ?', '', svg)
    svg = re.sub(
        r'(fill|stroke): (#\w{6})',
        lambda found: f'{found[1]}: {colors.get(found[2], found[2])}',
        svg,
    )
    prefix = f'c{hashlib.sha256((label + svg).encode()).hexdigest()[:8]}-'
    svg = re.sub(r'( id="|url\(#| xlink:href="#)', rf'\g<1>{prefix}', svg)
    return svg.replace(
        '<svg ', f'<svg role="img" aria-label="{escape(label)}" ', 1
    )


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_chart(training: Training, label: str) -> str:
    """Chart losses over iterations, and mIoU over validations, if any.

    Args:
        training: Logged losses and scores.
        label: Alternative text: what the chart shows.
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
    """Set a logarithmic scale with plain numbers, since mathtext is off."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale('log')
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high > 20 * low else (1, 2, 3, 4, 5, 7)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f'{v:g}'))
    axes.yaxis.set_minor_locator(NullLocator())
