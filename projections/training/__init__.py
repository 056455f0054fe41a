"""Read models of the Models Library, and of each version's training."""
