"""The engine of read models: it follows the log, and rebuilds read models."""
