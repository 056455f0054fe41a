"""Readers of uploaded files, which are untrusted and read within limits."""
