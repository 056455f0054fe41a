"""What keeps read models up with the log, and builds them anew."""
