"""The audit trail, and the Merkle tree that verifies the event log."""
