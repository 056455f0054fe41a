"""An API key: what it opens of its account's rights, and until when. Only its digest is known."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import msgspec

from domain.access.roles import RIGHTS, Grants, Right, Role
from domain.errors import Conflict, Forbidden, Invalid, NotFound
from domain.event import Event
from domain.formatting import moment
from domain.personal import PERSONAL
from domain.text import clean_name

Name = TypeVar("Name", bound=str)

PREFIX = "stemma_"
ID_DIGITS, SECRET_DIGITS = 16, 64
LONGEST_OVERLAP = timedelta(days=30)
LONGEST_INVITATION = timedelta(days=30)
_KEY = re.compile(r"stemma_([0-9a-f]{16})_([0-9a-f]{64})")


class Scope(msgspec.Struct, frozen=True):
    """What a key is limited to: rights that these roles carry, in these projects. None is all."""

    roles: tuple[Role, ...] | None = None
    projects: tuple[str, ...] | None = None

    def limit(self, grants: Grants) -> Grants:
        """The grants, less what lies beyond."""
        if self.projects is None:
            by_project = {
                project: self._limit_roles(roles) for project, roles in grants.by_project.items()
            }
            return Grants(self._limit_roles(grants.everywhere), by_project)
        return Grants(
            by_project={
                project: self._limit_roles(
                    grants.everywhere | grants.by_project.get(project, frozenset())
                )
                for project in self.projects
            }
        )

    def _limit_roles(self, held: frozenset[Role]) -> frozenset[Role]:
        """The roles that carry no more rights than both the held ones and those of the scope."""
        if self.roles is None:
            return held
        rights = _rights(held) & _rights(self.roles)
        return frozenset(role for role in Role if RIGHTS[role] <= rights)

    def within(self, other: "Scope") -> bool:
        """Whether it opens nothing that the other does not."""
        roles = _rights_within(self.roles) <= _rights_within(other.roles)
        projects = other.projects is None or (
            self.projects is not None and set(self.projects) <= set(other.projects)
        )
        return roles and projects


def _rights_within(roles: Iterable[Role] | None) -> frozenset[Right]:
    return frozenset(Right) if roles is None else _rights(roles)


def _rights(roles: Iterable[Role]) -> frozenset[Right]:
    return frozenset(right for role in roles for right in RIGHTS[role])


class KeyIssued(Event, frozen=True, tag="key.issued"):
    """An account has a key more. `digest` is the SHA-256 of its secret."""

    account_id: str
    label: str
    digest: Annotated[str, PERSONAL]
    scope: Scope
    expires_at: datetime | None


class KeyRotated(Event, frozen=True, tag="key.rotated"):
    """The key has another secret; the one before opens as well, until a time."""

    digest: Annotated[str, PERSONAL]
    earlier_until: datetime


class KeyRevoked(Event, frozen=True, tag="key.revoked"):
    """The key opens nothing any more."""


class InvitationIssued(Event, frozen=True, tag="key.invitation_issued"):
    """Somebody is invited to an account: this key opens nothing, but is accepted once."""

    account_id: str
    label: str
    digest: Annotated[str, PERSONAL]
    expires_at: datetime


class InvitationAccepted(Event, frozen=True, tag="key.invitation_accepted"):
    """The key has another secret, which only the invited has; with it, it is like any other."""

    digest: Annotated[str, PERSONAL]


class Key(msgspec.Struct, frozen=True):
    account_id: str
    label: str
    scope: Scope
    expires_at: datetime | None
    digest: str
    earlier: tuple[str, datetime] | None = None
    revoked: bool = False
    invitation: bool = False

    def opens(self, digest: str, now: datetime) -> bool:
        """Whether a secret with this digest is valid now. The comparison takes constant time."""
        matches = hmac.compare_digest(self.digest, digest)
        if self.earlier is not None:
            earlier, until = self.earlier
            matches |= hmac.compare_digest(earlier, digest) and now < until
        return matches

    def is_latest(self, digest: str) -> bool:
        """Whether a secret with this digest is the one of the last rotation."""
        return hmac.compare_digest(self.digest, digest)

    def until(self, digest: str) -> datetime | None:
        """The time at which a secret with this digest, valid now, expires: a replaced one expires
        before the key."""
        ends = [self.expires_at]
        if self.earlier is not None and not self.is_latest(digest):
            ends.append(self.earlier[1])
        return min((end for end in ends if end is not None), default=None)

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at


class IssueKey(msgspec.Struct, frozen=True):
    account_id: str
    label: str
    digest: str
    now: datetime
    scope: Scope = Scope()
    expires_at: datetime | None = None


class RotateKey(msgspec.Struct, frozen=True):
    digest: str
    now: datetime
    overlap: timedelta = timedelta(0)


class RevokeKey(msgspec.Struct, frozen=True):
    pass


class IssueInvitation(msgspec.Struct, frozen=True):
    account_id: str
    label: str
    digest: str
    now: datetime
    lasts: timedelta


class AcceptInvitation(msgspec.Struct, frozen=True):
    digest: str
    now: datetime


def new_secret() -> str:
    """A new secret of 256 random bits."""
    return secrets.token_hex(32)


def key_text(key_id: str, secret: str) -> str:
    """The key as its holder keeps it."""
    return f"{PREFIX}{key_id}_{secret}"


def parse_key(text: str) -> tuple[str, str] | None:
    """The id and the secret's digest of a key; None for any other text."""
    match = _KEY.fullmatch(text)
    return (match[1], digest_of(match[2])) if match else None


def digest_of(secret: str) -> str:
    """The SHA-256 of a secret. Secrets are random and long, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def evolve(key: Key | None, event: Event) -> Key | None:
    match event, key:
        case KeyIssued(), _:
            return Key(event.account_id, event.label, event.scope, event.expires_at, event.digest)
        case KeyRotated(), Key():
            earlier = (key.digest, event.earlier_until)
            return msgspec.structs.replace(key, digest=event.digest, earlier=earlier)
        case KeyRevoked(), Key():
            return msgspec.structs.replace(key, revoked=True)
        case InvitationIssued(), _:
            ends = event.expires_at
            return Key(event.account_id, event.label, Scope(), ends, event.digest, invitation=True)
        case InvitationAccepted(), Key():
            return msgspec.structs.replace(
                key, digest=event.digest, expires_at=None, invitation=False
            )
    return key


Command = IssueKey | RotateKey | RevokeKey | IssueInvitation | AcceptInvitation


def decide(command: Command, key: Key | None) -> list[Event]:
    if isinstance(command, IssueKey):
        return _issue(command, key)
    if isinstance(command, IssueInvitation):
        return _invite(command, key)
    current = require(key)
    if isinstance(command, AcceptInvitation):
        return _accept(command, current)
    if isinstance(command, RotateKey):
        return _rotate(command, current)
    return [] if current.revoked else [KeyRevoked()]


def _issue(command: IssueKey, key: Key | None) -> list[Event]:
    """Raises `Invalid` for a label or scope that is empty, or a time that is past."""
    if key is not None:
        raise Conflict("this key was already issued")
    label = clean_name(command.label, "label")
    scope = command.scope
    for name, limit in (("roles", scope.roles), ("projects", scope.projects)):
        if limit is not None and not limit:
            raise Invalid(f"{name} is empty: omit it for no limit", field=name)
    if command.expires_at is not None and command.expires_at <= command.now:
        raise Invalid("expires_at is in the past; give a later time", field="expires_at")
    scope = Scope(_sorted(scope.roles), _sorted(scope.projects))
    return [KeyIssued(command.account_id, label, command.digest, scope, command.expires_at)]


def _invite(command: IssueInvitation, key: Key | None) -> list[Event]:
    if key is not None:
        raise Conflict("this key was already issued")
    if not timedelta(0) < command.lasts <= LONGEST_INVITATION:
        raise Invalid(f"days must be from 1 to {LONGEST_INVITATION.days}", field="days")
    label = clean_name(command.label, "label")
    ends = command.now + command.lasts
    return [InvitationIssued(command.account_id, label, command.digest, ends)]


def _accept(command: AcceptInvitation, current: Key) -> list[Event]:
    """Raises `Conflict` for what is no invitation any more."""
    if not current.invitation:
        raise Conflict("the invitation was already accepted: sign in with your key")
    if current.revoked or current.expired(command.now):
        raise Conflict("the invitation was withdrawn or has expired: ask for another one")
    return [InvitationAccepted(command.digest)]


def _sorted(limit: tuple[Name, ...] | None) -> tuple[Name, ...] | None:
    return None if limit is None else tuple(sorted(set(limit)))


def _rotate(command: RotateKey, current: Key) -> list[Event]:
    """Raises `Conflict` for a revoked or expired key, `Invalid` for a too long overlap."""
    if current.invitation:
        raise Conflict("this is an invitation: invite again for another link")
    if current.revoked or current.expired(command.now):
        raise Conflict("the key is revoked or expired: issue a new one")
    if not timedelta(0) <= command.overlap <= LONGEST_OVERLAP:
        raise Invalid(
            f"the overlap must be at most {LONGEST_OVERLAP.days} days", field="overlap_seconds"
        )
    return [KeyRotated(command.digest, command.now + command.overlap)]


def require(key: Key | None) -> Key:
    if key is None:
        raise NotFound("key not found")
    return key


def refuse_wider(
    scope: Scope, expires_at: datetime | None, held: Scope, held_until: datetime | None
) -> None:
    """Raise `Forbidden` for a key that opens more, or for longer, than the one that asks for it."""
    if not scope.within(held):
        raise Forbidden("your own key is limited: give roles and projects that are within its own")
    if held_until is not None and (expires_at is None or expires_at > held_until):
        raise Forbidden(
            f"your own key expires at {moment(held_until)}: give an earlier"
            " expires_at (in a terminal `--days`)",
            field="expires_at",
        )
