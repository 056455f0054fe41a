"""The transparency log over the events: keys, tiles, checkpoints and their verification."""
