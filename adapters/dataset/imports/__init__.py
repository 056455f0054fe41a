"""Imports: a source is validated as a whole in separate processes, then recorded or refused."""
