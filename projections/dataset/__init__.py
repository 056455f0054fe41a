"""Read models of projects, views, images, imports and erasures."""
