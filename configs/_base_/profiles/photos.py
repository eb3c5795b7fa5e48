# What `weakclip run` starts from: the published settings, for photos.
bases = dict(
    excel='excel/training_free_voc12_no-tse.py',
    clipes='seeds/grad-cam_vit-b16_voc12.py',
    classifier='cam/cam_r50_1xb16-5e_voc12-512x512.py',
    cam='cam/cam_lite0_photos.py',
    clims='clims_voc.py',
    weakclip='weakclip_voc.py',
    masks='weakclip/weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512_masks.py')
crf = 'voc12'
# None leaves each config its own.
clip = None
