"""Routes and pages of the event feed, webhooks and the contract."""
