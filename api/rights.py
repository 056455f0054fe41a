"""What a route asks of its caller, said at the route: `opt=needs(Right.TRAIN, of="model_id")`."""

from domain.roles import Right

KEY = "needs"
OPEN = {KEY: None}


def needs(right: Right, *, of: str | None = None, anywhere: bool = False) -> dict[str, object]:
    """The right that a route asks for, in the project of what the path parameter `of` names.

    Without `of`, it is asked for in all projects; with `anywhere`, in any one, and the handler
    shows no more than the caller may see.
    """
    return {KEY: (right, of, anywhere)}
