"""Routes and pages of evaluations and comparisons."""
