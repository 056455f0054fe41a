"""Sign-in with an identity provider: the account of an identity, created at the first sign-in."""

import logging
import uuid
from itertools import islice

import msgspec

from application.access.accounts import all_of
from application.access.first_key import ACCOUNT_ID as FIRST_ADMINISTRATOR
from application.handle import Decided, Request, Session, handle
from application.log.store import END, Store
from domain.access import account as accounts
from domain.access.account import (
    RESERVED,
    SIGN_IN,
    Account,
    GrantRole,
    LinkIdentity,
    OpenAccount,
    SetGroupRoles,
)
from domain.access.identity import Identity, names_for
from domain.access.roles import GroupRole, Role
from domain.aggregates import ACCOUNT, PROJECT
from domain.errors import Conflict, SignInRefused

NAMES_TRIED = 1000
log = logging.getLogger(__name__)


class SignInPolicy(msgspec.Struct, frozen=True):
    """The roles of users of an identity provider: one at the first sign-in, and those of their
    groups at each."""

    first_role: Role | None = None
    group_roles: frozenset[GroupRole] = frozenset()

    def of_groups(self, identity: Identity) -> frozenset[GroupRole]:
        return frozenset(role for role in self.group_roles if role.group in identity.groups)


def account_of(store: Store, identity: Identity, policy: SignInPolicy) -> str:
    """The id of an identity's account, which is created if there is none.

    It gets exactly the roles of the identity's groups. Two sign-ins at once create one account.
    Raises `SignInRefused` for an account that is closed.
    """
    linked = _linked(store, identity)
    if linked is not None and linked[1].by_group == policy.of_groups(identity):
        return _require_open(*linked)
    command_id = str(uuid.uuid4())
    request = Request(actor=SIGN_IN, command_id=command_id, correlation_id=command_id)
    try:
        return handle(store, request, lambda session: sign_in(session, identity, policy)).id
    except Conflict as error:
        raise SignInRefused(
            f"{error.detail}: sign in again", reason="sign-in: no account"
        ) from error


def _linked(store: Store, identity: Identity, upto: int = END) -> tuple[str, Account] | None:
    """The account linked to an identity. Subjects are sealed, so all accounts are decrypted."""
    sought = (identity.issuer, identity.subject)
    for account_id, account in all_of(store, ACCOUNT, upto=upto):
        if sought in account.identities:
            return account_id, account
    return None


def _require_open(account_id: str, account: Account) -> str:
    if account.closed:
        raise SignInRefused(
            "your account is closed: ask an administrator", reason="sign-in: closed account"
        )
    return account_id


def sign_in(session: Session, identity: Identity, policy: SignInPolicy) -> Decided[Account]:
    """The decision of `account_of`, on the log as the session sees it."""
    linked = _linked(session.store, identity, session.position)
    account_id = (
        _require_open(*linked) if linked else _provision(session, identity, policy.first_role)
    )
    roles = {
        role for role in policy.of_groups(identity) if _project_exists(session, role.project_id)
    }
    return session.decide(ACCOUNT, account_id, SetGroupRoles(frozenset(roles)))


def _project_exists(session: Session, project_id: str | None) -> bool:
    if project_id is None or session.get(PROJECT, project_id) is not None:
        return True
    log.warning("a group has a role in a project that does not exist: %s", project_id)
    return False


def _provision(session: Session, identity: Identity, first_role: Role | None) -> str:
    name = _free_name(session, identity)
    account_id = accounts.account_id(name)
    session.decide(ACCOUNT, account_id, OpenAccount(name, email=identity.email))
    session.decide(ACCOUNT, account_id, LinkIdentity(identity.issuer, identity.subject))
    if first_role is not None:
        session.decide(ACCOUNT, account_id, GrantRole(first_role))
    return account_id


def _free_name(session: Session, identity: Identity) -> str:
    """An unused name: an account with the same name or address is never taken over."""
    for name in islice(names_for(identity), NAMES_TRIED):
        account_id = accounts.account_id(name)
        # The account with the name of the first administrator would get its role.
        kept = name.casefold() in RESERVED or account_id == FIRST_ADMINISTRATOR
        if not kept and session.get(ACCOUNT, account_id) is None:
            return name
    raise SignInRefused(
        "too many accounts have names like yours: ask an administrator",
        reason="sign-in: no account",
    )
