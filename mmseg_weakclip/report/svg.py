"""matplotlib's SVG as a part of an HTML page."""

import hashlib
import re
from collections.abc import Mapping
from html import escape


def adapt_svg(svg: str, label: str, colors: Mapping[str, str]) -> str:
    """Make a stand-alone SVG a part of a page.

    Args:
        svg: As matplotlib writes it.
        label: What it shows, for those who cannot see it.
        colors: Colour in the SVG (``#rrggbb``) -> what CSS puts there.

    Returns:
        ``<svg>``, without prolog, styles and fonts of its own; its ids are
        met nowhere else on the page.
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
