# Loading and packing of images that bring their labels.
load = [
    dict(type='LoadColorImage'),
    dict(type='LoadImageLabels', ann_file='image_labels.json'),
]
pack = dict(
    type='PackSegInputs',
    # The usual ones, and the labels.
    meta_keys=('img_path', 'ori_shape', 'img_shape', 'pad_shape',
               'scale_factor', 'flip', 'flip_direction', 'image_labels'))
