"""The log to those who follow it: on NATS, over HTTP and by webhooks."""
