"""Commands for those who follow the events."""
