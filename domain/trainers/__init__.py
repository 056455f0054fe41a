"""Training code of users, which runs in workers of its own."""
