"""Commands about accounts, keys and signing in."""
