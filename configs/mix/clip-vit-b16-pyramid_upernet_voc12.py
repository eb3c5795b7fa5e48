# A frozen CLIP with a trained pyramid under a stock head and stock loss.
_base_ = [
    '../_base_/datasets/voc12_seeds.py',
    '../_base_/schedules/weakclip_20k.py',
    '../_base_/default_runtime.py',
]

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True,
        size=(512, 512)),
    backbone=dict(
        type='CLIPViT',
        model='ViT-B-16-quickgelu',
        pretrained='openai',
        out_indices=(3, 5, 7, 11),
        adapter=dict(type='PyramidAdapter', channels=768, norm_cfg=norm_cfg)),
    decode_head=dict(
        type='UPerHead',
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        channels=256,
        num_classes=21,
        norm_cfg=norm_cfg),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
