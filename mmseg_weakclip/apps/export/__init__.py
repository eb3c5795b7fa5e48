"""Trained segmenters as files that run without mmseg."""
