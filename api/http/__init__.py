"""What all routes share: commands, parameters, problems, and every request's frame."""
