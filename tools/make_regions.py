#!/usr/bin/env python
"""Find the regions of photos, such as superpixels.

The same as ``weakclip regions``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['regions', *sys.argv[1:]]))
