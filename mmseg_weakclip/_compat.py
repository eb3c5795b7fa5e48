"""Let mmseg import without compiled operators, and without noise.

``mmseg.models`` of upstream (mmcv-lite, mmseg up to 1.2) imports ``mmcv.ops``
whatever it needs of it. Where the compiled part is missing, a placeholder
takes its place, whose operators say so when they are called. The onedl
releases of mmseg (1.4 and later) do without.
"""

import io
import sys
import warnings
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import mmseg
from mmengine.utils import digit_version

EXTENSION = 'mmcv._ext'
OPTIONAL_SINCE = '1.3.0'
# Printed, twice, by every process; ours are many.
NOISE = 'Could not import OneDL'
MINIMUM, LIMIT = '1.2.0', '2.0.0'


def _refuse(name: str):
    # `inspect` asks every module for its __file__, and must not find one.
    if name.startswith('__'):
        raise AttributeError(f'the placeholder of {EXTENSION} has no {name}')

    def operator(*args, **kwargs):
        raise RuntimeError(
            f'{name} needs the compiled operators of the full '
            'mmcv; mmcv-lite has none'
        )

    return operator


def install_placeholder() -> None:
    """Put the placeholder where the compiled operators would be."""
    if EXTENSION in sys.modules or find_spec(EXTENSION) is not None:
        return
    module = ModuleType(EXTENSION)
    # find_spec of a module without a spec raises.
    module.__spec__ = ModuleSpec(EXTENSION, None)
    module.__getattr__ = _refuse
    sys.modules[EXTENSION] = module


def prepare_mmseg() -> None:
    """Make ``mmseg.models`` importable; to be called before its import.

    Raises:
        ImportError: The installed mmsegmentation is too old or too new.
    """
    installed = digit_version(mmseg.__version__)
    if not digit_version(MINIMUM) <= installed < digit_version(LIMIT):
        raise ImportError(
            f'mmsegmentation {mmseg.__version__} is installed, but '
            f'mmseg_weakclip needs >={MINIMUM},<{LIMIT}: '
            'pip install -r requirements/mminstall.txt'
        )
    # An operator that nothing here needs.
    warnings.filterwarnings(
        'ignore', message='Fail to import ``MultiScaleDeformableAttention``'
    )
    if installed < digit_version(OPTIONAL_SINCE):
        install_placeholder()


def import_quietly() -> None:
    """Import mmseg's data sets without a line on an optional package."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            import mmseg.datasets  # noqa: F401
    finally:
        lines = printed.getvalue().splitlines(keepends=True)
        sys.stdout.writelines(line for line in lines if NOISE not in line)
