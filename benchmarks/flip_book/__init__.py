"""Benchmarks of the flip book's page."""
