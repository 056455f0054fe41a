"""Published events (CloudEvents), and the webhooks that deliver them."""
