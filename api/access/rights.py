"""What a route asks of its caller, said at the route: `opt=needs(Right.TRAIN, of="model_id")`."""

import msgspec

from domain.access.roles import Right

KEY = "needs"


class Need(msgspec.Struct, frozen=True):
    """What the caller of a route must have; without a right, only an account."""

    right: Right | None
    of: str | None = None
    anywhere: bool = False


def needs(right: Right, *, of: str | None = None, anywhere: bool = False) -> dict[str, object]:
    """The right that a route asks for, in the project of what the path parameter `of` names.

    Without `of`, it is asked for in all projects; with `anywhere`, in any one, and the handler
    shows no more than the caller may see.
    """
    return {KEY: Need(right, of, anywhere)}


ACCOUNT: dict[str, object] = {KEY: Need(None)}
"""A route for everyone who has an account, whatever its roles."""

OPEN: dict[str, object] = {KEY: None}
"""A route that is open to all."""
