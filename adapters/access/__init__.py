"""Signing in: identity providers, sessions, and counts of refused requests."""
