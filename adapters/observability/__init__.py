"""Lines of log and traces."""
