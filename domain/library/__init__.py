"""Views and their models, and the rule that a model is a set of concepts."""
