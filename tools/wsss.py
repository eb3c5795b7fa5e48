#!/usr/bin/env python
"""Go from a folder of tagged images to masks and a trained segmenter.

The same as ``weakclip run``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['run', *sys.argv[1:]]))
