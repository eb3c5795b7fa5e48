"""Runners of the tools for processes without GPUs and for inference."""

import atexit

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.runner import Runner
from torch import nn


def use_cpu_processes(cfg: Config) -> None:
    """Let the processes of torchrun work together without GPUs.

    mmengine asks each process for its GPU, even with the gloo backend.

    Args:
        cfg: Config of the runner, changed in place.
    """
    torch.distributed.init_process_group('gloo')
    # At the very end of the interpreter, its threads may abort the process.
    atexit.register(torch.distributed.destroy_process_group)
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        ),
    )


class InferenceRunner(Runner):
    """Runner whose processes share no gradients.

    ``DistributedDataParallel`` refuses a model without trainable parameters,
    such as a training-free one.
    """

    def wrap_model(
        self, model_wrapper_cfg: ConfigDict | None, model: nn.Module
    ) -> nn.Module:
        """Move the model to its device; see ``Runner.wrap_model``."""
        if self.distributed:
            return model.to(get_device())
        return super().wrap_model(model_wrapper_cfg, model)


def trained_parameters(model: nn.Module) -> list[str]:
    """Return the names of the trainable parameters."""
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def check_is_trained(runner: Runner, config: str) -> None:
    """Check that a model which needs a checkpoint has one.

    Args:
        runner: Runner of a tool that predicts.
        config: Path of its config, for the message.

    Raises:
        SystemExit: The model is trained, but there is no checkpoint.
    """
    if runner.cfg.get('load_from') is not None:
        return
    trained = trained_parameters(runner.model)
    if trained:
        raise SystemExit(
            f'{config} describes a model that is trained ({len(trained)} '
            f'tensors such as {trained[0]}); give its checkpoint behind the '
            'config'
        )
