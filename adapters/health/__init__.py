"""Health of parts and servers: heartbeats, lag and checks."""
