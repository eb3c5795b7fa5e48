"""Segmenters of the field that mmsegmentation does not have."""
