"""Signing in with an identity provider: the account of an identity, opened the first time."""

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


class Terms(msgspec.Struct, frozen=True):
    """What is given to whom an identity provider vouches for: a role the first time, and what
    their groups give each time."""

    first_role: Role | None = None
    group_roles: frozenset[GroupRole] = frozenset()

    def of_groups(self, identity: Identity) -> frozenset[GroupRole]:
        return frozenset(one for one in self.group_roles if one.group in identity.groups)


def account_of(store: Store, identity: Identity, terms: Terms) -> str:
    """The id of an identity's account, which is opened if there is none.

    It has the roles of the identity's groups then, and those of no others. Two at once open one.
    Raises `SignInRefused` for an account that is closed.
    """
    known = _linked(store, identity)
    if known is not None and known[1].by_group == terms.of_groups(identity):
        return _open_one(*known)
    command_id = str(uuid.uuid4())
    request = Request(actor=SIGN_IN, command_id=command_id, correlation_id=command_id)
    try:
        return handle(store, request, lambda session: come_in(session, identity, terms)).id
    except Conflict as error:
        raise SignInRefused(f"{error.detail}: begin again", reason="sign-in: no account") from error


def _linked(store: Store, identity: Identity, upto: int = END) -> tuple[str, Account] | None:
    """The account that is linked to an identity. Subjects are sealed, so that all are opened."""
    sought = (identity.issuer, identity.subject)
    for account_id, account in all_of(store, ACCOUNT, upto=upto):
        if sought in account.identities:
            return account_id, account
    return None


def _open_one(account_id: str, account: Account) -> str:
    if account.closed:
        raise SignInRefused(
            "your account is closed: ask an administrator", reason="sign-in: closed account"
        )
    return account_id


def come_in(session: Session, identity: Identity, terms: Terms) -> Decided[Account]:
    """What `account_of` decides on the log as the session sees it."""
    known = _linked(session.store, identity, session.position)
    account_id = _open_one(*known) if known else _join(session, identity, terms.first_role)
    there = {one for one in terms.of_groups(identity) if _is_there(session, one.project_id)}
    return session.decide(ACCOUNT, account_id, SetGroupRoles(frozenset(there)))


def _is_there(session: Session, project_id: str | None) -> bool:
    if project_id is None or session.get(PROJECT, project_id) is not None:
        return True
    log.warning("a group has a role in a project that is not there: %s", project_id)
    return False


def _join(session: Session, identity: Identity, first_role: Role | None) -> str:
    name = _free_name(session, identity)
    account_id = accounts.account_id(name)
    session.decide(ACCOUNT, account_id, OpenAccount(name, email=identity.email))
    session.decide(ACCOUNT, account_id, LinkIdentity(identity.issuer, identity.subject))
    if first_role is not None:
        session.decide(ACCOUNT, account_id, GrantRole(first_role))
    return account_id


def _free_name(session: Session, identity: Identity) -> str:
    """A name of nobody's: whoever has it, even under the same address, stays who they are."""
    for name in islice(names_for(identity), NAMES_TRIED):
        account_id = accounts.account_id(name)
        # Whoever held the name of the first administrator would be given its role.
        kept = name.casefold() in RESERVED or account_id == FIRST_ADMINISTRATOR
        if not kept and session.get(ACCOUNT, account_id) is None:
            return name
    raise SignInRefused(
        "too many accounts have names like yours: ask an administrator",
        reason="sign-in: no account",
    )
