"""Proposals by Optuna, and the service that carries experiments on."""
