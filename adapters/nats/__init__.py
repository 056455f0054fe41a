"""NATS: connections, streams, and who may do what there."""
