"""Annotation formats: each reads a folder to annotated images, and writes them back."""
