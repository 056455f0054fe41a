"""Benchmarks of the audit trail, the verification and bundles."""
