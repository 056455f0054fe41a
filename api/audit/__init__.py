"""Routes and pages of the trail and the transparency log."""
