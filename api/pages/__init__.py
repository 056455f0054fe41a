"""Rendering of pages, for the present and for past moments."""
