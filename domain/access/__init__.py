"""Accounts and keys: who may do what, and who they are elsewhere."""
