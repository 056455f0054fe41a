"""CSV, in the dialects that other tools write."""
