"""Queries over several read models, for the pages that lead to all others."""
