"""Image files: what they are, and the pixels that are read from them."""
