"""docs/openapi.json: the HTTP API as clients are made from it."""
