"""Parts that all routes share: commands, parameters, problems, and middleware."""
