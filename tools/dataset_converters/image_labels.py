#!/usr/bin/env python
"""Convert image labels to JSON.

The same as ``weakclip labels``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['labels', *sys.argv[1:]]))
