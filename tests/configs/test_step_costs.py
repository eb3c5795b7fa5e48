"""What a training step asks of a GPU, on a device that pretends."""

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner
from pretend_cuda import Events, pretend_cuda

# Most waits and uploads of a step. Uploads are images, labels of pixels and
# superpixels (two of each), and one of each kind of other labels or texts.
LIMITS = {
    'weakclip_voc.py': (4, 4),
    'excel_voc.py': (0, 3),
    'excel/weclip_vit-b16_1xb4-30k_voc12-320x320.py': (0, 4),
    'clims_voc.py': (0, 5),
    'clims_plus_voc.py': (1, 5),
    'segclip/segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py': (0, 6),
    # As published.
    'excel/excel_vit-b16_1xb4-30k_voc12-320x320_released.py': (0, 3),
    'clims/clims_r50_1xb16-10e_voc12-512x512_camera-ready.py': (0, 5),
}


class Counter(Hook):
    """Remembers the counts of the last step."""

    priority = 'HIGHEST'

    def __init__(self, events: Events) -> None:
        self.events = events

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.events.clear()

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        # mmengine logs the norm of the gradient when the step is done.
        self.waits = sum(
            count
            for (line, _), count in self.events.waits.items()
            if 'optimizer_wrapper.py' not in line
        )
        self.uploads = self.events.uploads.total()
        self.report = self.events.report()


@pytest.mark.parametrize('name', LIMITS)
def test_waits_and_uploads(name, load_small):
    """From the second step on, when constants and texts are there."""
    cfg = load_small(name)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pretend_cuda() as events:
        runner, counter = Runner.from_cfg(cfg), Counter(events)
        runner.register_hook(counter, 'HIGHEST')
        runner.train()
    waits, uploads = LIMITS[name]
    assert counter.waits <= waits, counter.report
    assert counter.uploads <= uploads, counter.report
