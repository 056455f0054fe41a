"""Read models: one file each with its tables, what an event changes in them, and its queries."""
