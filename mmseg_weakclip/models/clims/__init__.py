"""CLIMS and CLIMS+: CLIP as the critic of a CAM network."""
