"""Image and text towers of open_clip models behind one interface."""
