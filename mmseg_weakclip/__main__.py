"""``python -m mmseg_weakclip``: the command ``weakclip``."""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main())
