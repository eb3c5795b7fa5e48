"""A CUDA device that is not there; see :func:`pretend_cuda`."""

from .context import pretend_cuda
from .events import Events
from .rules import DeviceMismatch

__all__ = ['DeviceMismatch', 'Events', 'pretend_cuda']
