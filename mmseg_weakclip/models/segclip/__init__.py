"""SegCLIP: patches grouped around learnable centres, from captions."""
