"""Routes of accounts, keys and sign-in, and the guards of all routes."""
