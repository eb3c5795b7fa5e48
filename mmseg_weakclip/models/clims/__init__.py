"""CLIMS and CLIMS+: a CAM network trained with CLIP as critic."""
