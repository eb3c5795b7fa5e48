"""SegCLIP: groups of patches with learnable centres, from captions."""
