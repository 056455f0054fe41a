"""The event log: what is appended, how it is stored, and how it is read."""
