"""Pictures and videos with classes painted over them."""
