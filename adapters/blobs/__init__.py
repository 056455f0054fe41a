"""Bytes under their digests, in a folder or a bucket."""
