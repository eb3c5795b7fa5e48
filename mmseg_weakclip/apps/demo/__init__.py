"""Demo: images and videos with classes painted over them."""
