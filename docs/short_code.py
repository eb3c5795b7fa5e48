"""A hook of MkDocs: short code in running text is not broken.

Browsers break lines after hyphens, also within ``--resume``.
"""

import re

SHORT = re.compile(r'(?<!<pre>)(?<!</span>)<code>(?=[^<\n]{1,18}</code>)')


def on_page_content(html: str, **_) -> str:
    return SHORT.sub('<code class="short">', html)
