"""The HTTP API and the pages. `api.app` is the composition root."""
