"""Events sent to webhooks, to each in order."""
