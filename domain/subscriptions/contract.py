"""Where the contract's documents are served."""


def schema_path(name: str, version: int) -> str:
    """The path of the JSON Schema of a version of an event's payload."""
    return f"/schemas/events/{name}/{version}.json"
