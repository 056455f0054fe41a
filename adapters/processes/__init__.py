"""Child processes and what keeps them running."""
