"""Folders of masks, transforms that load them, COCO's id encodings."""
