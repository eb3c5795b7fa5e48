"""Optimiser constructor and optimiser wrapper: frozen models, CPU amp."""

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
    """mmengine's constructor without frozen parameters.

    A frozen CLIP has hundreds of tensors, each of which would be a parameter
    group in every checkpoint and a warning in the log.

    ``paramwise_cfg`` may also have ``vector_decay_mult``, the factor of the
    weight decay of all parameters with less than two axes: biases, norms and
    scales. mmengine's own factors for these ignore every parameter that has
    a custom key. Parameters with equal settings share a group, so that the
    optimiser updates them together.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, **kwargs
    ) -> None:
        """Add a module's trainable parameters, and its children's."""
        if any(p.requires_grad for p in module.parameters()):
            super().add_params(params, module, **kwargs)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser wrapper over the trainable parameters."""
        model = getattr(model, 'module', model)
        if self.paramwise_cfg:
            params: list = []
            self.add_params(params, model)
            params = self._join(params)
        else:
            params = [p for p in model.parameters() if p.requires_grad]
        optimizer = OPTIMIZERS.build(
            self.optimizer_cfg, default_args=dict(params=params)
        )
        return OPTIM_WRAPPERS.build(
            dict(dict(type='OptimWrapper'), **self.optim_wrapper_cfg),
            default_args=dict(optimizer=optimizer),
        )

    def _join(self, params: list[dict]) -> list[dict]:
        """Join groups of one parameter each that have equal settings."""
        factor = self.paramwise_cfg.get('vector_decay_mult')
        joined: dict[tuple, dict] = {}
        for group in params:
            (parameter,) = group['params']
            if not parameter.requires_grad:
                continue
            decays = self.base_wd is not None and parameter.ndim < 2
            if factor is not None and decays:
                group = dict(group, weight_decay=self.base_wd * factor)
            settings = {k: v for k, v in group.items() if k != 'params'}
            key = tuple(sorted(settings.items()))
            one = joined.setdefault(key, dict(settings, params=[]))
            one['params'].append(parameter)
        return list(joined.values())


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Optimiser wrapper with bfloat16 autocast on the CPU.

    mmengine's ``AmpOptimWrapper`` refuses to work there.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in bfloat16; see ``OptimWrapper``."""
        with (
            super().optim_context(model),
            torch.autocast('cpu', torch.bfloat16),
        ):
            yield
