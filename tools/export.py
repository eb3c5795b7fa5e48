#!/usr/bin/env python
"""Write a trained segmenter as ONNX or TorchScript.

The same as ``weakclip export``.
"""

import sys

from mmseg_weakclip.apps.cli import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))
