"""Commands about versions, their policies, and ingest of reports."""
