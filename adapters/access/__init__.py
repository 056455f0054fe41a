"""Signing in: identity providers, sessions, and refusals that are counted."""
