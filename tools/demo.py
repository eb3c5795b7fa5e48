#!/usr/bin/env python
"""Paint classes over images and videos.

The same as ``weakclip demo``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['demo', *sys.argv[1:]]))
