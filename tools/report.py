#!/usr/bin/env python
"""Write the page about a run.

The same as ``weakclip report``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['report', *sys.argv[1:]]))
