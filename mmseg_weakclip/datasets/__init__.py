"""Weakly labelled data sets, their transforms and samplers."""
