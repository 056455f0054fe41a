"""The trail that people read, and the tree by which anyone can check the log."""
