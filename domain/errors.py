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


class TooMany(Refusal):
    """The caller asks for more at once than it may; `retry_after` is in seconds."""

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Barred(Refusal):
    """The caller is not let in. `reason` says so in a few words, the same for all such refusals,
    by which they are counted."""

    reason = "refused"

    def __init__(self, detail: str, *, reason: str | None = None, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.reason = reason or self.reason


class Unauthenticated(Barred):
    """Nobody knows who asks: there is no key, or one that opens nothing."""

    reason = "nobody is signed in"


class SignInRefused(Barred):
    """Signing in with an identity provider came to nothing."""

    reason = "sign-in: refused"


class TooManyFailures(Barred):
    """So many sign-ins from one address came to nothing that another that does is not told why;
    `retry_after` is in seconds."""

    reason = "too many failed sign-ins"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Forbidden(Barred):
    """The caller is known and lacks the right."""

    reason = "beyond what the caller may"


class Hidden(Barred):
    """It is of a project in which the caller has no role: to them, it is not there."""

    reason = "no role in the project"
