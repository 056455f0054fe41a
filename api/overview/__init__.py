"""What leads to everything else: home, the search, the documentation, and what waits for people."""
