"""Folders of masks, transforms that load them, encodings of COCO."""
