"""Commands about images: in, out, erased, and what a version was trained on."""
