#!/usr/bin/env python
"""Test a model, or make seeds and pseudo masks with it.

The same as ``weakclip test``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
