"""Benchmarks of imports, frozen datasets and the image grid."""
