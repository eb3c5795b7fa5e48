"""What the tools share that only predict."""

from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.runner import Runner
from torch import nn


class InferenceRunner(Runner):
    """A runner whose processes share no gradients.

    ``DistributedDataParallel`` refuses a model with nothing to train, such as
    a training-free one.
    """

    def wrap_model(
        self, model_wrapper_cfg: ConfigDict | None, model: nn.Module
    ) -> nn.Module:
        """Move the model to its device; see ``Runner.wrap_model``."""
        if self.distributed:
            return model.to(get_device())
        return super().wrap_model(model_wrapper_cfg, model)


def trained_parameters(model: nn.Module) -> list[str]:
    """Names of the parameters that a training changes."""
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def check_is_trained(runner: Runner, config: str) -> None:
    """Without a checkpoint there must be nothing to load.

    Args:
        runner: Of a tool that predicts.
        config: Its file, for the message.

    Raises:
        SystemExit: A trained model comes without its checkpoint.
    """
    if runner.cfg.get('load_from') is not None:
        return
    if trained := trained_parameters(runner.model):
        raise SystemExit(
            f'{config} describes a model that is trained ({len(trained)} '
            f'tensors such as {trained[0]}); give its checkpoint behind the '
            'config'
        )
