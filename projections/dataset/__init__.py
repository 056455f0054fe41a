"""Projects, views and images as they are and were, imports and erasures."""
