"""The transparency log over the events: keys, tiles, checkpoints, and the check of all of them."""
