"""Readers of what annotation tools export."""
