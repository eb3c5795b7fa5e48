default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_weakclip'], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
# A fixed seed is what makes --resume exact.
randomness = dict(seed=0)
log_level = 'INFO'
log_processor = dict(by_epoch=False)
load_from = None
resume = False

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=2000,
        max_keep_ckpts=3, backend_args=dict(backend='whole')),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'))
custom_hooks = [
    dict(type='ClassNamesHook'),
    dict(type='CheckDatasetHook'),
    dict(type='CheckNormalizationHook'),
    dict(type='CheckLossHook'),
    dict(type='RandomStateHook'),
    dict(type='CaptionStreamHook'),
    dict(type='PseudoMaskHook'),
    dict(type='BackendHook', matmul_precision='high'),
]

tta_model = dict(type='RunningTTAModel')
# For `weakclip test --protocol`: the CRF behind a trained network.
protocol = dict(crf='deeplab')
