"""Stop at the first loss that is not finite."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class CheckLossHook(Hook):
    """Stop training at a NaN or infinite loss, naming term and images.

    It runs before anything is saved, so the last checkpoint is sound.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """See ``Hook``.

        Raises:
            FloatingPointError: A loss is not finite.
        """
        losses = {
            name: torch.as_tensor(value)
            for name, value in (outputs or {}).items()
            if 'loss' in name
        }
        # One look at their sum: a look at each would wait for the GPU often.
        if not losses or torch.isfinite(sum(losses.values())).all():
            return
        bad = {
            name: value.tolist()
            for name, value in losses.items()
            if not torch.isfinite(value).all()
        }
        images = [
            sample.metainfo.get('img_path', '?')
            for sample in data_batch['data_samples']
        ]
        raise FloatingPointError(
            f'iteration {runner.iter + 1}: {bad} with the images {images}. '
            'Look at these images and their seeds (tools/check_dataset.py), '
            'or lower the learning rate; the last checkpoint is from before'
        )
