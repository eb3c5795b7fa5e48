#!/usr/bin/env python
"""Write masks for annotation tools, COCO and YOLO.

The same as ``weakclip export-masks``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['export-masks', *sys.argv[1:]]))
