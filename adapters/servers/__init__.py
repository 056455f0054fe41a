"""PostgreSQL and NATS as children of this process, for `stemma up`."""
