"""Benchmarks of read models: building, queries, states of the past."""
