#!/usr/bin/env python
"""Train the model of a config.

The same as ``weakclip train``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
