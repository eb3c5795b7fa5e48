"""Hooks, optimiser, resuming, checkpoints, and what tools share."""
