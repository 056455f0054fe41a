"""Imports: a source checked whole in processes of their own, then taken in or refused."""
