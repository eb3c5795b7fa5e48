# WeCLIP+ with super-class boundaries (CD-CLIP). Toyland's CLIP knows no words
# such as "animal": a super-class is called by the names of its classes, whose
# embeddings are averaged.
_base_ = './weclip_plus.py'

model = dict(
    decode_head=dict(
        boundary=dict(
            groups=dict(
                vehicle=(1, 2, 8), building=(3, ), plant=(4, 7),
                animal=(5, 6)),
            text=dict(
                type='TemplateText',
                **_base_.clip,
                names=(('boat', 'car', 'rocket'), ('house', ),
                       ('tree', 'flower'), ('fish', 'bird')),
                background_words=('water', 'road', 'grass', 'sky', 'sand',
                                  'brick')),
            class_maps=dict(affinity=None))))
