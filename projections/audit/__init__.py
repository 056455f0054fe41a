"""Read models of the audit trail: its index, and the timeline."""
