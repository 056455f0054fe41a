"""Routes and pages of experiments."""
