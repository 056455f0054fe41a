"""The administrator that a log begins with, and its keys: given out by who runs the server."""

import uuid
from datetime import UTC, datetime

from application.access.access import Access, Caller
from application.access.accounts import all_of, issue_key
from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from domain.access import account as accounts
from domain.access.account import OPERATOR, GrantRole, OpenAccount
from domain.access.key import IssueKey, Key, parse_key
from domain.access.roles import Grants, Role
from domain.aggregates import ACCOUNT, KEY
from domain.errors import Conflict, Unauthenticated

ADMINISTRATOR = "administrator"
ACCOUNT_ID = accounts.account_id(ADMINISTRATOR)


def opens(store: Store, text: str) -> bool:
    """Whether a key opens something."""
    try:
        Access(store).by_key(text)
    except Unauthenticated:
        return False
    return True


def has_key(store: Store) -> bool:
    """Whether the administrator was ever issued a key that is not revoked."""
    return any(key.account_id == ACCOUNT_ID and not key.revoked for _, key in all_of(store, KEY))


def give_key(store: Store, text: str, label: str) -> None:
    """Issue this key to the account `administrator`, which is opened if it is not there.

    Repeated, it does nothing more. Raises `Conflict` if the account is closed.
    """
    parsed = parse_key(text)
    if parsed is None:
        raise ValueError("the text is not a key")
    key_id, digest = parsed
    command_id = str(uuid.uuid4())
    request = Request(actor=OPERATOR, command_id=command_id, correlation_id=command_id)

    def decide(session: Session) -> Decided[Key]:
        account = session.get(ACCOUNT, ACCOUNT_ID)
        if account is None:
            session.decide(ACCOUNT, ACCOUNT_ID, OpenAccount(ADMINISTRATOR))
        elif account.closed:
            raise Conflict(
                f"the account {ADMINISTRATOR!r} is closed: use a key of another administrator"
            )
        session.decide(ACCOUNT, ACCOUNT_ID, GrantRole(Role.ADMINISTRATOR))
        if session.get(KEY, key_id) is not None:
            return Decided(KEY, key_id)
        by = Caller(actor=OPERATOR, account_id=ACCOUNT_ID, grants=Grants())
        return issue_key(
            session, IssueKey(ACCOUNT_ID, label, digest, datetime.now(UTC)), by, key_id
        )

    handle(store, request, decide)
