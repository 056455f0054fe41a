"""What sets up, checks and tries this repository."""
