"""Adapters between the log and the workers: jobs, desired states, reports, weights."""
