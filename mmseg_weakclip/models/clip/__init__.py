"""CLIP: image towers, dense paths, text banks and weights."""
