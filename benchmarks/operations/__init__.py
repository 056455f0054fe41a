"""Benchmarks of the start and of tracing."""
