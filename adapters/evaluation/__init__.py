"""Evaluation of a version's predictions: metrics, curves, and the result for each image."""
