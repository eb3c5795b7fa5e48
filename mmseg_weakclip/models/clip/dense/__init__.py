"""Dense paths of CLIP: the attention of the last blocks, and how they run."""
