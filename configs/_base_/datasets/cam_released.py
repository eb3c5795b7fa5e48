# What the published code of CLIMS does to images, for configs that name
# these lists in their pipelines: Pillow's bicubic resizing, and a canvas on
# which an image lies at a random place.
published_train = [
    dict(type='RandomResize', scale=(640, 640), ratio_range=(.5, 1.),
         keep_ratio=True, backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=.5),
    # The mean colour, BGR: exactly 0 after normalising.
    dict(type='RandomPlacement', size=(512, 512),
         pad_value=[103.53, 116.28, 123.675]),
]
published_scales = [
    dict(type='Resize', scale_factor=ratio, keep_ratio=True,
         backend='pillow', interpolation='bicubic')
    for ratio in (1., .5, 1.5, 2.)
]
