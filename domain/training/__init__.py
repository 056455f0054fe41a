"""Versions, their options, and the jobs and reports of their trainings."""
