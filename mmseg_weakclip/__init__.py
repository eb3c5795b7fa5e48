"""Weakly supervised segmentation with CLIP, as parts for mmsegmentation.

Importing the package registers every part. All of them are names of this
package too, so ``type='mmseg_weakclip.CLIPViT'`` works in any config.
"""

# ruff: noqa: F401, F403, I001
from . import _compat  # first: upstream's mmseg may not import without it

import mmseg
from mmengine.utils import digit_version

from .datasets import *
from .engine import *
from .evaluation import *
from .models import *
from .toyland import *
from .version import __version__

MINIMUM, LIMIT = '1.2.0', '2.0.0'

if not (
    digit_version(MINIMUM)
    <= digit_version(mmseg.__version__)
    < digit_version(LIMIT)
):
    raise ImportError(
        f'mmsegmentation {mmseg.__version__} is installed, but '
        f'mmseg_weakclip needs >={MINIMUM},<{LIMIT}: '
        'pip install -r requirements/mminstall.txt'
    )
