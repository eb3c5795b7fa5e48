"""Optimisers over what is trained, and half precision without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
)
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, blind to frozen parameters.

    A frozen CLIP has hundreds of tensors: left in, each is a parameter group
    in every checkpoint and a warning in the log.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, **kwargs
    ) -> None:
        """Add a module's trainable parameters, and its children's."""
        if any(p.requires_grad for p in module.parameters()):
            super().add_params(params, module, **kwargs)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        if self.paramwise_cfg:
            return super().__call__(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = OPTIMIZERS.build(
            self.optimizer_cfg, default_args=dict(params=trained)
        )
        return OPTIM_WRAPPERS.build(
            dict(dict(type='OptimWrapper'), **self.optim_wrapper_cfg),
            default_args=dict(optimizer=optimizer),
        )


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """bfloat16 autocast on the CPU, which ``AmpOptimWrapper`` refuses."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with (
            super().optim_context(model),
            torch.autocast('cpu', torch.bfloat16),
        ):
            yield
