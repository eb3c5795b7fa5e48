#!/usr/bin/env python
"""Score all background thresholds in one pass.

The same as ``weakclip sweep``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['sweep', *sys.argv[1:]]))
