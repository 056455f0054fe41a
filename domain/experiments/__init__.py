"""Experiments: searches over the options of a training, each trial a model version."""
