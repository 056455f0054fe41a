"""`stemma audit` and its commands."""
