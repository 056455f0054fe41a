"""Routes of health, metrics and the system itself."""
