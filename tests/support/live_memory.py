"""The most bytes of tensors that live at once inside a block."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveMemory(TorchDispatchMode):
    """Count the storages that operations make in the block.

    Attributes:
        now: Bytes of those that live.
        peak: Largest ``now`` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        result = func(*args, **(kwargs or {}))
        before = {
            x.untyped_storage()._cdata
            for x in tree_iter((args, kwargs))
            if isinstance(x, Tensor)
        }
        for made in tree_iter(result):
            if isinstance(made, Tensor):
                storage = made.untyped_storage()
                if storage._cdata not in before | self._known:
                    self._watch(storage)
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
