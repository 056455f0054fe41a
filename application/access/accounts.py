"""Commands about accounts and keys. `by` is the caller, whose rights they cannot exceed."""

from collections.abc import Iterator

from application.access.access import Caller
from application.dataset.projects import create_project
from application.handle import Decided, Session
from application.log.store import END, Store
from domain.access import account as accounts
from domain.access import key as keys
from domain.access.account import (
    Account,
    Change,
    GrantRole,
    OpenAccount,
    WithdrawRole,
)
from domain.access.key import (
    AcceptInvitation,
    IssueInvitation,
    IssueKey,
    Key,
    RevokeKey,
    RotateKey,
    Scope,
)
from domain.access.roles import Right, Role
from domain.aggregates import ACCOUNT, KEY, PROJECT, Aggregate, State
from domain.dataset import project as projects
from domain.dataset.project import Project
from domain.errors import Forbidden, NotFound, Unauthenticated


def open_account(session: Session, command: OpenAccount) -> Decided[Account]:
    return session.decide(ACCOUNT, accounts.account_id(command.name.strip()), command)


def begin_project(session: Session, name: str, by: Caller) -> Decided[Project]:
    """Create a project, and make a caller who does not administer it already its administrator.

    Raises `Forbidden` for a key that is limited to other projects: it could not see this one.
    """
    if by.scope.projects is not None:
        raise Forbidden("your key is limited to certain projects: use one that is not")
    decided = create_project(session, name)
    if not by.grants.may(Right.ADMINISTER):
        grant = GrantRole(Role.ADMINISTRATOR, decided.entity_id)
        session.decide(ACCOUNT, by.account_id, grant)
    return decided


def grant_role(
    session: Session, account_id: str, command: GrantRole, by: Caller
) -> Decided[Account]:
    """Raises `Forbidden` if the caller lacks rights of the role."""
    accounts.refuse_beyond(by.grants, command.role, command.project_id)
    if command.project_id is not None:
        projects.require(session.get(PROJECT, command.project_id))
    return change_account(session, account_id, command)


def withdraw_role(
    session: Session, account_id: str, command: WithdrawRole, by: Caller
) -> Decided[Account]:
    """Raises `Conflict` for the last administrator's role."""
    accounts.refuse_beyond(by.grants, command.role, command.project_id)
    return change_account(session, account_id, command)


def change_account(session: Session, account_id: str, command: Change) -> Decided[Account]:
    """Raises `Conflict` if no administrator of everything would be left."""
    account = session.get(ACCOUNT, account_id)
    session.change(ACCOUNT, account_id, command)
    changed = accounts.require(session.get(ACCOUNT, account_id))
    if account is not None and account.administers and not changed.administers:
        # Resting on all accounts as read, it is decided again if one of them changes meanwhile.
        ids = [key for key, _ in all_of(session.store, ACCOUNT)]
        left = session.get_many(ACCOUNT, ids).values()
        accounts.refuse_without_administrator(remaining for remaining in left if remaining)
    return Decided(ACCOUNT, account_id)


def issue_key(
    session: Session, command: IssueKey, by: Caller, key_id: str | None = None
) -> Decided[Key]:
    """Issue a key to the caller's own account, or to another one's if the caller administers
    everything; within what the caller came with, for it can be used by who issues it."""
    if command.account_id != by.account_id:
        _refuse_others(by)
    keys.refuse_wider(command.scope, command.expires_at, by.scope, by.until)
    accounts.still_open(session.get(ACCOUNT, command.account_id))
    key_id = key_id or session.new_id().replace("-", "")[: keys.ID_DIGITS]
    return session.decide(KEY, key_id, command)


def invite(
    session: Session, account: OpenAccount, role: GrantRole, invitation: IssueInvitation, by: Caller
) -> Decided[Key]:
    """Open an account if there is none of this name, grant it a role, and issue an invitation."""
    _refuse_others(by)
    keys.refuse_wider(Scope(), invitation.now + invitation.lasts, by.scope, by.until)
    if session.get(ACCOUNT, invitation.account_id) is None:
        open_account(session, account)
    grant_role(session, invitation.account_id, role, by)
    key_id = session.new_id().replace("-", "")[: keys.ID_DIGITS]
    return session.decide(KEY, key_id, invitation)


def accept_invitation(session: Session, text: str, command: AcceptInvitation) -> Decided[Key]:
    """Give the key of an invitation another secret. Raises `Unauthenticated` for a wrong link."""
    parsed = keys.parse_key(text)
    key = session.get(KEY, parsed[0]) if parsed else None
    if parsed is None or key is None or not key.opens(parsed[1], command.now):
        raise Unauthenticated(
            "the invitation is unknown or was already accepted: ask for another one, or sign in"
            " with your key",
            reason="unknown invitation",
        )
    accounts.still_open(session.get(ACCOUNT, key.account_id))
    return session.decide(KEY, parsed[0], command)


def rotate_key(session: Session, key_id: str, command: RotateKey, by: Caller) -> Decided[Key]:
    """Like `issue_key`: the caller who rotates a key can use it."""
    key = _key_of(session, key_id, by)
    keys.refuse_wider(key.scope, key.expires_at, by.scope, by.until)
    return session.decide(KEY, key_id, command)


def revoke_key(session: Session, key_id: str, by: Caller) -> Decided[Key]:
    """Raises `Forbidden` for a key that opens more than the one that asks: whoever has found a
    narrow key could shut its holder out. That it expires earlier is no matter."""
    key = _key_of(session, key_id, by)
    if not key.scope.within(by.scope):
        raise Forbidden(
            "your own key is limited to fewer rights than the new one: use a key with more rights"
        )
    return session.decide(KEY, key_id, RevokeKey())


def _key_of(session: Session, key_id: str, by: Caller) -> Key:
    """The caller's own key, or any if they administer everything; others' are as if not there."""
    key = keys.require(session.get(KEY, key_id))
    if key.account_id != by.account_id and not by.grants.may(Right.ADMINISTER):
        raise NotFound("key not found")
    session.check_revision(KEY, key_id)
    return key


def _refuse_others(by: Caller) -> None:
    if not by.grants.may(Right.ADMINISTER):
        raise Forbidden(
            "you cannot issue a key to another account: you lack the right administer in all"
            " projects",
            field="account_id",
        )


def find(store: Store, aggregate: Aggregate[State], entity_id: str) -> State | None:
    """An entity as it is in the log now."""
    stream = aggregate.stream(entity_id)
    events = store.streams([stream]).get(stream, [])
    return aggregate.fold(recorded.event for recorded in events)


def all_of(
    store: Store, aggregate: Aggregate[State], *, after: str = "", upto: int = END
) -> Iterator[tuple[str, State]]:
    """Every entity of a kind there are few of, by id, from behind an id on, as of a position."""
    after = aggregate.stream(after) if after else ""
    while names := store.streams_of(aggregate.kind, after=after):
        for events in store.streams(names, upto=upto).values():
            state = aggregate.fold(recorded.event for recorded in events)
            if state is not None:
                yield events[0].entity_id, state
        after = names[-1]
