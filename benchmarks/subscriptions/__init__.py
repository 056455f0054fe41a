"""Benchmarks of the event feed, over NATS and over HTTP."""
