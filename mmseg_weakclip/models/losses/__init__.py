"""Losses: algebra on logits, seeds, images and similarities."""
