"""Who a key is, commands about accounts and keys, and signing in."""
