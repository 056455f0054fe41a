"""An account: a person or a service, the roles that it has, and who it is elsewhere."""

import re
import uuid
from collections.abc import Iterable
from typing import Annotated

import msgspec

from domain.access.roles import RIGHTS, Grants, GroupRole, Role
from domain.errors import Conflict, Forbidden, Invalid, NotFound
from domain.event import Event
from domain.personal import PERSONAL
from domain.text import MAX_REASON, clean_name, is_text

PERSON, SERVICE = "person", "service"
KINDS = (PERSON, SERVICE)

OPERATOR = "operator"
"""Who acts on the server itself, with access to its database and no account."""

SIGN_IN = "sign-in"
"""Who creates the accounts of an identity provider's users."""

RESERVED = frozenset(
    {"anonymous", "collector", "eraser", "importer", "ingest", "policy", "relay", "stemma"}
    | {"system", "webhooks", "worker", OPERATOR, SIGN_IN}
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_NAMES = uuid.UUID("5d2c1f0e-53a8-4b0b-9d0c-3c1d1e7a9a44")


class AccountOpened(Event, frozen=True, tag="account.opened"):
    """Somebody may be granted roles. The name never changes: it is the actor of their events."""

    name: str
    kind: str
    email: Annotated[str | None, PERSONAL] = None


class RoleGranted(Event, frozen=True, tag="account.role_granted"):
    """The account has a role in a project; without one, in all projects, those to come included."""

    role: Role
    project_id: str | None


class RoleWithdrawn(Event, frozen=True, tag="account.role_withdrawn"):
    """The account has the role no longer."""

    role: Role
    project_id: str | None


class GroupRoleGranted(Event, frozen=True, tag="account.group_role_granted"):
    """The account has a role for being in a group of its identity provider's."""

    role: Role
    project_id: str | None
    group: str


class GroupRoleWithdrawn(Event, frozen=True, tag="account.group_role_withdrawn"):
    """The account has the role no longer, as it is in the group no longer, or that gives none."""

    role: Role
    project_id: str | None
    group: str


RoleChange = RoleGranted | RoleWithdrawn | GroupRoleGranted | GroupRoleWithdrawn


class IdentityLinked(Event, frozen=True, tag="account.identity_linked"):
    """The identity provider's `subject` is linked to this account."""

    issuer: str
    subject: Annotated[str, PERSONAL]


class AccountClosed(Event, frozen=True, tag="account.closed"):
    """The account opens nothing any more; its name stays taken."""


class AccountErased(Event, frozen=True, tag="account.erased"):
    """The personal data of the account is erased: its e-mail address and its provider's subject."""

    reason: str


Granted = tuple[Role, str | None]


class Account(msgspec.Struct, frozen=True):
    name: str
    kind: str
    email: str | None
    roles: frozenset[Granted] = frozenset()
    by_group: frozenset[GroupRole] = frozenset()
    identities: frozenset[tuple[str, str]] = frozenset()
    closed: bool = False
    erased: bool = False

    @property
    def grants(self) -> Grants:
        """What it may do; nothing once it is closed."""
        if self.closed:
            return Grants()
        held = self.held
        projects = {project for _, project in held if project is not None}
        return Grants(
            frozenset(role for role, project in held if project is None),
            {
                project_id: frozenset(role for role, project in held if project == project_id)
                for project_id in projects
            },
        )

    @property
    def held(self) -> frozenset[Granted]:
        """The roles that were granted to it here, and those of its groups."""
        return self.roles | {
            (group_role.role, group_role.project_id) for group_role in self.by_group
        }

    @property
    def administers(self) -> bool:
        """Whether it was granted to be administrator of everything: what groups give, the
        identity provider can take away."""
        return not self.closed and (Role.ADMINISTRATOR, None) in self.roles


class OpenAccount(msgspec.Struct, frozen=True):
    name: str
    kind: str = PERSON
    email: str | None = None


class GrantRole(msgspec.Struct, frozen=True):
    role: Role
    project_id: str | None = None


class WithdrawRole(msgspec.Struct, frozen=True):
    role: Role
    project_id: str | None = None


class SetGroupRoles(msgspec.Struct, frozen=True):
    """What the groups give that the account is in at a sign-in: that, and nothing else."""

    roles: frozenset[GroupRole]


class LinkIdentity(msgspec.Struct, frozen=True):
    issuer: str
    subject: str


class CloseAccount(msgspec.Struct, frozen=True):
    pass


class EraseAccount(msgspec.Struct, frozen=True):
    reason: str


Change = GrantRole | WithdrawRole | SetGroupRoles | LinkIdentity | CloseAccount | EraseAccount


def account_id(name: str) -> str:
    """The id of the account of a name: names that differ in case only are the same."""
    return str(uuid.uuid5(_NAMES, name.casefold()))


def evolve(account: Account | None, event: Event) -> Account | None:
    match event, account:
        case AccountOpened(), _:
            return Account(event.name, event.kind, event.email)
        case RoleGranted(), Account():
            roles = account.roles | {(event.role, event.project_id)}
            return msgspec.structs.replace(account, roles=roles)
        case RoleWithdrawn(), Account():
            roles = account.roles - {(event.role, event.project_id)}
            return msgspec.structs.replace(account, roles=roles)
        case GroupRoleGranted(), Account():
            by_group = account.by_group | {_of_group(event)}
            return msgspec.structs.replace(account, by_group=by_group)
        case GroupRoleWithdrawn(), Account():
            by_group = account.by_group - {_of_group(event)}
            return msgspec.structs.replace(account, by_group=by_group)
        case IdentityLinked(), Account():
            identities = account.identities | {(event.issuer, event.subject)}
            return msgspec.structs.replace(account, identities=identities)
        case AccountClosed(), Account():
            return msgspec.structs.replace(account, closed=True)
        case AccountErased(), Account():
            return msgspec.structs.replace(account, email=None, identities=frozenset(), erased=True)
    return account


def _of_group(event: GroupRoleGranted | GroupRoleWithdrawn) -> GroupRole:
    return GroupRole(event.group, event.role, event.project_id)


def is_address(email: str) -> bool:
    """Whether the text can be an e-mail address."""
    return len(email) <= 254 and bool(_ADDRESS.fullmatch(email)) and is_text(email)


def _open(command: OpenAccount, account: Account | None) -> list[Event]:
    """Raises `Invalid` for a name that could be taken for another, `Conflict` for one in use."""
    name = clean_name(command.name)
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"the name {name!r} is not valid: use up to 100 letters a to z, digits and ._@-,"
            " beginning with a letter or digit",
            field="name",
        )
    if name.casefold() in RESERVED:
        raise Invalid(f"{name!r} is reserved for a service of Stemma; choose another", field="name")
    if command.kind not in KINDS:
        raise Invalid(f"kind must be {' or '.join(KINDS)}, got {command.kind!r}", field="kind")
    if command.email is not None and not is_address(command.email):
        raise Invalid("email is not an e-mail address such as ada@example.com", field="email")
    if account is not None:
        closed = ", closed" if account.closed else ""
        raise Conflict(f"account {account.name!r} already exists{closed}", field="name")
    return [AccountOpened(name, command.kind, command.email)]


def decide(command: OpenAccount | Change, account: Account | None) -> list[Event]:
    """The events of a command; none if it changes nothing. Raises `NotFound`, and `Conflict` for a
    closed account."""
    if isinstance(command, OpenAccount):
        return _open(command, account)
    if isinstance(command, CloseAccount):
        return [] if require(account).closed else [AccountClosed()]
    if isinstance(command, EraseAccount):
        return _erase(command, require(account))
    current = still_open(account)
    match command:
        case GrantRole(role=role, project_id=project):
            held = (role, project) in current.roles
            return [] if held else [RoleGranted(role, project)]
        case WithdrawRole(role=role, project_id=project):
            return _withdraw(current, role, project)
        case SetGroupRoles(roles=roles):
            return _set_group_roles(current, roles)
        case LinkIdentity(issuer=issuer, subject=subject):
            linked = (issuer, subject) in current.identities
            return [] if linked else [IdentityLinked(issuer, subject)]


def _erase(command: EraseAccount, account: Account) -> list[Event]:
    """Erase the account. It is closed too, since nobody can sign in to it any more."""
    reason = clean_name(command.reason, "reason", MAX_REASON)
    closed = [] if account.closed else [AccountClosed()]
    return [] if account.erased else [*closed, AccountErased(reason)]


def _withdraw(account: Account, role: Role, project_id: str | None) -> list[Event]:
    if (role, project_id) in account.roles:
        return [RoleWithdrawn(role, project_id)]
    giving = sorted(
        granted.group
        for granted in account.by_group
        if (granted.role, granted.project_id) == (role, project_id)
    )
    if giving:
        raise Conflict(
            f"{account.name!r} has this role by the group {', '.join(giving)} of the identity"
            " provider: take them out of it there, or close the account",
            field="role",
        )
    return []


def _set_group_roles(account: Account, roles: frozenset[GroupRole]) -> list[Event]:
    lost = sorted(account.by_group - roles, key=_order)
    new = sorted(roles - account.by_group, key=_order)
    return [
        *(GroupRoleWithdrawn(role.role, role.project_id, role.group) for role in lost),
        *(GroupRoleGranted(role.role, role.project_id, role.group) for role in new),
    ]


def _order(role: GroupRole) -> tuple[str, str, str]:
    return role.group, role.role, role.project_id or ""


def require(account: Account | None) -> Account:
    if account is None:
        raise NotFound("account not found")
    return account


def still_open(account: Account | None) -> Account:
    current = require(account)
    if current.closed:
        raise Conflict(f"the account {current.name!r} is closed")
    return current


def refuse_beyond(held: Grants, role: Role, project_id: str | None) -> None:
    """Raise `Forbidden` if the caller lacks rights of the role that they grant or withdraw."""
    lacking = sorted(right for right in RIGHTS[role] if not held.may(right, project_id))
    if lacking:
        where = "all projects" if project_id is None else f"project {project_id}"
        raise Forbidden(
            f"you cannot give or take the role {role} in {where}: you lack the right"
            f" {', '.join(lacking)} there",
            field="role",
        )


def refuse_without_administrator(left: Iterable[Account]) -> None:
    """Raise `Conflict` if no administrator of everything would be left."""
    if not any(account.administers for account in left):
        raise Conflict(
            "this is the last administrator: grant the role administrator to another account first"
        )
