"""Losses on logits, seeds, images and similarities."""
