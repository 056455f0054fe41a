"""The read model of experiments and their trials."""
