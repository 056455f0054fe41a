"""Commands for subscribers of events."""
