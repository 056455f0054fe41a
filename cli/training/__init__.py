"""Commands for trainings and their models."""
