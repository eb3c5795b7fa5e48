"""Hook that checks the training data before the first iteration."""

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from .dataset import check_dataset
from .problems import has_errors, summarize_problems


@HOOKS.register_module()
class CheckDatasetHook(Hook):
    """Check the training data in seconds, before the first iteration.

    All files must exist, every image must have labels, class names must be
    known, and the first seeds are opened. ``tools/check_dataset.py`` does
    the whole check.

    Args:
        num_masks: Number of seeds to open.
        shown: Number of problems to print of each kind.
    """

    priority = 'VERY_HIGH'

    def __init__(self, num_masks: int = 100, shown: int = 3) -> None:
        self.num_masks = num_masks
        self.shown = shown

    def before_train(self, runner: Runner) -> None:
        """Check on the main process; on errors all processes stop.

        Raises:
            ValueError: The data have errors; the message lists all.
        """
        result = [('', False)]
        if is_main_process():
            problems = check_dataset(
                runner.train_loop.dataloader.dataset,
                thorough=False,
                num_masks=self.num_masks,
            )
            text = summarize_problems(problems, self.shown)
            runner.logger.info(f'Training data: {text}')
            result = [(text, has_errors(problems))]
        broadcast_object_list(result)
        text, failed = result[0]
        if failed:
            raise ValueError(
                'The training data has errors. Mend them, or look at all with '
                f'tools/check_dataset.py CONFIG:\n{text}'
            )
