"""Projects and their images, and how images come and go."""
