"""Image labels and lists of ids, as people and tools write them."""
