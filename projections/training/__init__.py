"""The Models Library, and what is known of each version's training."""
