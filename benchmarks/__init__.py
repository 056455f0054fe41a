"""Benchmarks against alternatives: `python -m benchmarks`."""
