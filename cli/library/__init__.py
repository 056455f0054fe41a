"""Commands of views and their models."""
