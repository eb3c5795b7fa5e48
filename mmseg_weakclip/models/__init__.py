"""Parts for mmsegmentation configs: shared rooms and four systems."""
