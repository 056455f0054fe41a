"""Tests of what sets up, checks and tries this repository."""
