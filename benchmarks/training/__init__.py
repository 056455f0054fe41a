"""Benchmarks of training, image loading and live metrics."""
