"""The contract with those who build on the events: schemas of payloads, and AsyncAPI."""
