"""Several methods on the same photos, side by side on one page."""
