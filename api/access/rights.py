"""The rights that a route needs, declared at the route: `opt=needs(Right.TRAIN, of="model_id")`."""

import msgspec

from domain.access.roles import Right

KEY = "needs"


class Need(msgspec.Struct, frozen=True):
    """A right that the caller of a route must have; without one, an account is enough."""

    right: Right | None
    of: str | None = None
    anywhere: bool = False
    only_appends: bool = False


def needs(
    right: Right, *, of: str | None = None, anywhere: bool = False, only_appends: bool = False
) -> dict[str, object]:
    """The right that a route needs, in the project of the entity that path parameter `of` names.

    Without `of` it is needed in all projects; with `anywhere` in any project, and the handler
    shows only what the caller may see. `only_appends` says that a command has no effect but what it
    appends to the log, so that its caller may be proved by that.
    """
    return {KEY: Need(right, of, anywhere, only_appends)}


ACCOUNT: dict[str, object] = {KEY: Need(None)}
"""A route for everyone who has an account, whatever its roles."""

OPEN: dict[str, object] = {KEY: None}
"""A route that is open to all."""
