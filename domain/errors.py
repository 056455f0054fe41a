"""Refusals. Each says what is wrong and what to do; the API turns them into RFC 9457 problems."""


class Refusal(Exception):
    """A command that cannot be carried out as it stands.

    `field` names the offending input where there is one.
    """

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Invalid(Refusal):
    """The input itself is wrong: a type, a range, an unknown name."""


class NotFound(Refusal):
    """What the command speaks of does not exist."""


class Gone(Refusal):
    """What the command speaks of was erased, for good."""


class Conflict(Refusal):
    """The input is sound but the present state forbids it."""


class Stale(Refusal):
    """The caller decided on an older revision than the one that now stands."""


class Unauthenticated(Refusal):
    """Nobody knows who asks: there is no key, or one that opens nothing."""


class Forbidden(Refusal):
    """The caller is known and lacks the right."""
