"""Export of trained segmenters to files that run without mmseg."""
