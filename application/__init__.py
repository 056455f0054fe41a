"""Application services: commands (load, decide, save), ingest of reports, and policies."""
