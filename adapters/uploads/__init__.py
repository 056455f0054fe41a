"""Files that people upload: hostile until they are read within limits."""
