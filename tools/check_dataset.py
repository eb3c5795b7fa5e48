#!/usr/bin/env python
"""Check the data of a config.

The same as ``weakclip check``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['check', *sys.argv[1:]]))
