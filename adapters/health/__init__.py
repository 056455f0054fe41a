"""How the parts and servers are: what each says of itself, and how far it is."""
