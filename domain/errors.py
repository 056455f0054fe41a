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
    """An entity that the command names does not exist."""


class Gone(Refusal):
    """An entity that the command names was permanently erased."""


class Conflict(Refusal):
    """The input is valid, but the current state forbids the command."""


class TrainingEnded(Conflict):
    """The training that something is stored for has ended."""


class KeyReused(Conflict):
    """The command's id was used for another command."""


class Contention(Conflict):
    """Others kept changing the same things, so that the command was not carried out."""


class Stale(Refusal):
    """The caller decided on an older revision than the current one."""


class TooMany(Refusal):
    """The caller asks for more at once than it may; `retry_after` is in seconds."""

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Barred(Refusal):
    """The caller is refused access. `reason` is a short text, the same for all refusals of a kind,
    by which they are counted."""

    reason = "refused"

    def __init__(self, detail: str, *, reason: str | None = None, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.reason = reason or self.reason


class Unauthenticated(Barred):
    """The caller is unknown: the key is missing or not valid."""

    reason = "not signed in"


class SignInRefused(Barred):
    """Sign-in with an identity provider failed."""

    reason = "sign-in: refused"


class TooManyFailures(Barred):
    """Too many sign-ins from one address failed, so that the next failure gives no reason;
    `retry_after` is in seconds."""

    reason = "too many failed sign-ins"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Forbidden(Barred):
    """The caller is authenticated and lacks the right."""

    reason = "missing right"


class Hidden(Barred):
    """The entity is in a project in which the caller has no role: to them, it does not exist."""

    reason = "no role in the project"
