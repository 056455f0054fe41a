"""NATS: connections, streams and permissions."""
