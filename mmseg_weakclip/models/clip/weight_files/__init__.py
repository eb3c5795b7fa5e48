"""Weights in files of unknown origin, read without running their code."""
