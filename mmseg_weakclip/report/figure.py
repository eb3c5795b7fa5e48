"""Figures that take their colours and their font from the page."""

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from .run import ROLES
from .svg import adapt_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stand-ins, each replaced by a colour of the page, light or dark.
TEXT, GRID = '#010203', '#010204'
ROLE_COLORS = dict(zip(ROLES, ('#010205', '#010206', '#010207')))
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
    """A name that leaves room for the chart."""
    return name if len(name) <= longest else f'{name[: longest - 1]}…'


def render_figure(
    size: tuple[float, float],
    draw: Callable[['Figure'], None],
    label: str,
) -> str:
    """A chart as ``<svg>``.

    Args:
        size: Width and height in inches.
        draw: What puts the axes on the figure.
        label: What it shows, for those who cannot see it.

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
    with rc_context(STYLE), warnings.catch_warnings():
        # The browser has the letters that matplotlib's font lacks.
        warnings.filterwarnings('ignore', message='Glyph .* missing')
        figure = Figure(size, layout='constrained')
        draw(figure)
        nothing = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
        figure.savefig(
            buffer, format='svg', transparent=True, metadata=nothing
        )
    return adapt_svg(buffer.getvalue(), label, PAGE_COLORS)
