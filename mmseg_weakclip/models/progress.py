"""How far a training is, for parts that change on the way."""

from mmengine.logging import MessageHub


def training_iteration() -> int:
    """Return the current training iteration, 0 outside of training.

    It is that of mmengine's runner, so a resumed training goes on with it.
    """
    return MessageHub.get_current_instance().get_info('iter', 0)


def training_progress() -> float:
    """Return the share of the training that is done, 0 outside of one."""
    length = MessageHub.get_current_instance().get_info('max_iters', 0)
    return training_iteration() / length if length else 0.0
