"""Accounts, keys, roles and identities."""
