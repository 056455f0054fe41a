"""Commands for accounts, keys and sign-in."""
