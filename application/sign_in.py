"""Signing in with an identity provider: the account of an identity, opened the first time."""

import uuid
from itertools import islice

from application.accounts import all_of
from application.first_key import ACCOUNT_ID as FIRST_ADMINISTRATOR
from application.handle import ACCOUNT, Decided, Request, Session, handle
from application.store import Store
from domain import account as accounts
from domain.account import RESERVED, SIGN_IN, Account, Change, GrantRole, LinkIdentity, OpenAccount
from domain.errors import Conflict, SignInRefused
from domain.identity import Identity, names_for
from domain.roles import Role

NAMES_TRIED = 1000


def account_of(store: Store, identity: Identity, first_role: Role | None) -> str:
    """The id of an identity's account, which is opened, with a role or none, if there is none.

    Two at once open one. Raises `SignInRefused` for an account that is closed.
    """
    known = _linked(store, identity)
    if known is not None:
        return _open_one(*known)
    command_id = str(uuid.uuid4())
    request = Request(actor=SIGN_IN, command_id=command_id, correlation_id=command_id)
    try:
        return handle(store, request, lambda session: _join(session, identity, first_role)).id
    except Conflict as error:
        raise SignInRefused(f"{error.detail}: begin again", reason="sign-in: no account") from error


def _linked(store: Store, identity: Identity) -> tuple[str, Account] | None:
    """The account that is linked to an identity. Subjects are sealed, so that all are opened."""
    sought = (identity.issuer, identity.subject)
    for account_id, account in all_of(store, ACCOUNT):
        if sought in account.identities:
            return account_id, account
    return None


def _open_one(account_id: str, account: Account) -> str:
    if account.closed:
        raise SignInRefused(
            "your account is closed: ask an administrator", reason="sign-in: closed account"
        )
    return account_id


def _join(session: Session, identity: Identity, first_role: Role | None) -> Decided[Account]:
    known = _linked(session.store, identity)
    if known is not None:
        return Decided(ACCOUNT, _open_one(*known))
    name = _free_name(session, identity)
    account_id = accounts.account_id(name)
    opened = accounts.open_account(OpenAccount(name, email=identity.email), None)
    session.record(ACCOUNT, account_id, opened)
    changes: list[Change] = [LinkIdentity(identity.issuer, identity.subject)]
    if first_role is not None:
        changes.append(GrantRole(first_role))
    for change in changes:
        account = session.get(ACCOUNT, account_id)
        session.record(ACCOUNT, account_id, accounts.decide(change, account))
    return Decided(ACCOUNT, account_id)


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
