"""A page about a run of tools/wsss.py: scores, curves, and its images.

Needs the extra ``[report]``.
"""

from .fields import RunError
from .page import IMAGES, write_report
from .run import Run, read_run

__all__ = ['IMAGES', 'Run', 'RunError', 'read_run', 'write_report']
