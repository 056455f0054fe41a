"""Videos: their frames, decoded in a process with limited memory."""
