"""Commands about projects, images and imports, and the dataset they make."""
