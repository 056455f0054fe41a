"""The index of the trail, and of times."""
