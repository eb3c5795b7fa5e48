"""Pseudo masks in the test loop: views, refinement, files."""
