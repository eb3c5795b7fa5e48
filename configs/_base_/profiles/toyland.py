# What `weakclip run --profile toyland` starts from: a small CLIP and images.
bases = dict(
    excel='toyland/seeds.py',
    clipes='toyland/clipes.py',
    classifier='toyland/cam.py',
    cam='toyland/cam.py',
    clims='toyland/clims.py',
    weakclip='toyland/weakclip.py',
    masks='toyland/weakclip_masks.py')
crf = dict(gaussian_sxy=1.0, bilateral_sxy=20.0, bilateral_srgb=13.0)
clip = 'toyclip'
