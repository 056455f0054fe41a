"""Routes of accounts, keys and signing in, and the doors of all others."""
