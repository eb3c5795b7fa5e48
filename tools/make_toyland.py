#!/usr/bin/env python
"""Draw the toy world.

The same as ``weakclip toyland``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['toyland', *sys.argv[1:]]))
