#!/usr/bin/env python
"""Refine class maps that were kept, without CLIP.

The same as ``weakclip refine``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['refine', *sys.argv[1:]]))
