"""The version of the API, and the header of every answer that names it."""

API_VERSION = "1"
"""Raised by a change that breaks clients: `api/contract` says which do."""
HEADER = "Stemma-API-Version"
