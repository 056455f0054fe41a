"""The outside world: settings, PostgreSQL, NATS, the blob store and the embedded servers."""
