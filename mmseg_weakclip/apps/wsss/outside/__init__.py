"""Masks of other tools as seeds: reading, veto by the labels, joining."""
