# As long as mmseg trains on COCO-Stuff.
_base_ = './segmenter_adamw_20k.py'

train_cfg = dict(max_iters=80000, val_interval=8000)
param_scheduler = _base_.param_scheduler
param_scheduler[-1]['end'] = 80000
