"""What a version's predictions come to: figures, curves, and the answers for each image."""
