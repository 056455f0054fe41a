"""Annotation formats: each reads a folder to images and answers, and writes them back."""
