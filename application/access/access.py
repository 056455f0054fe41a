"""Who a key is, and what they may: from the log itself, so that a revocation holds at once.

What is folded from the streams of a key and its account is kept; each time it is used, one query
asks whether these streams are still at the same revisions.
"""

import logging
import threading
from datetime import UTC, datetime

import msgspec

from application.log.store import Store
from domain.access.account import Account
from domain.access.key import ID_DIGITS, PREFIX, SECRET_DIGITS, Key, Scope, parse_key
from domain.access.roles import Grants
from domain.aggregates import ACCOUNT, KEY, Aggregate, State
from domain.errors import Unauthenticated

log = logging.getLogger(__name__)

CACHED = 10_000
"""The number of cached states; the oldest are evicted first."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The authenticated caller: an account, and its rights under this key or session.

    `scope` and `until` are the limits of the key or session; they also bound the keys it issues.
    """

    actor: str
    account_id: str
    grants: Grants
    scope: Scope = Scope()
    until: datetime | None = None
    key_id: str | None = None


class Access:
    """Authenticates callers by their keys. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._states: dict[str, tuple[int, object]] = {}
        self._lock = threading.Lock()

    def by_key(self, text: str) -> Caller:
        """The caller with this key. Raises `Unauthenticated` with the reason."""
        key_id, key, at, digest = self._verified(text)
        return self._holder(key_id, key, at, key.until(digest))

    def remembered(self, text: str) -> tuple[Caller, dict[str, int]] | None:
        """The caller with this key as it was read before, and the revisions of the streams that it
        was read from; None if it was not, or if the key opened nothing then. Asks no server."""
        parsed = parse_key(text)
        if parsed is None:
            return None
        key_id, digest = parsed
        stream = KEY.stream(key_id)
        revision, key = self._states.get(stream, (0, None))
        if not isinstance(key, Key) or not key.opens(digest, datetime.now(UTC)):
            return None
        return self._remembered_holder(key_id, key, revision, key.until(digest))

    def remembered_session(
        self, account_id: str, key_id: str | None, key_revision: int
    ) -> tuple[Caller, dict[str, int]] | None:
        """The same for who signed in with a key that had this revision, or without a key."""
        if key_id is None:
            revision, account = self._states.get(ACCOUNT.stream(account_id), (0, None))
            if not isinstance(account, Account) or account.closed:
                return None
            caller = Caller(actor=account.name, account_id=account_id, grants=account.grants)
            return caller, {ACCOUNT.stream(account_id): revision}
        revision, key = self._states.get(KEY.stream(key_id), (0, None))
        if not isinstance(key, Key) or revision != key_revision:
            return None
        return self._remembered_holder(key_id, key, revision, key.expires_at)

    def _remembered_holder(
        self, key_id: str, key: Key, revision: int, until: datetime | None
    ) -> tuple[Caller, dict[str, int]] | None:
        of_account = ACCOUNT.stream(key.account_id)
        account_revision, account = self._states.get(of_account, (0, None))
        if not isinstance(account, Account) or account.closed:
            return None
        if key.invitation or key.revoked or key.expired(datetime.now(UTC)):
            return None
        at = {KEY.stream(key_id): revision, of_account: account_revision}
        return _caller(key_id, key, account, until), at

    def sign_in(self, text: str) -> tuple[Caller, int]:
        """The caller with this key, and the key's revision, to which a session is bound.

        Raises `Unauthenticated` also for a replaced secret that is still valid for a while: a
        session would outlive it. If the key is rotated meanwhile, the session is not valid.
        """
        key_id, key, at, digest = self._verified(text)
        if not key.is_latest(digest):
            raise Unauthenticated(
                "the key was rotated: sign in with the new one",
                reason="sign-in with a replaced key",
            )
        return self._holder(key_id, key, at, key.expires_at), at[KEY.stream(key_id)]

    def _verified(self, text: str) -> tuple[str, Key, dict[str, int], str]:
        """A key's id, the key, the revisions it was read at, and the digest of its secret."""
        parsed = parse_key(text)
        if parsed is None:
            raise Unauthenticated(
                f"this key is malformed or incomplete: a key is {PREFIX}, {ID_DIGITS} hexadecimal"
                f" digits, _ and {SECRET_DIGITS} more",
                reason="unknown key",
            )
        key_id, digest = parsed
        key, at = self._key(key_id)
        if key is None or not key.opens(digest, datetime.now(UTC)):
            raise Unauthenticated(
                "the key is unknown or was rotated: it is not valid", reason="unknown key"
            )
        return key_id, key, at, digest

    def by_session(self, key_id: str, revision: int) -> Caller:
        """The caller who signed in with a key that had this revision.

        Raises `Unauthenticated` once the key was rotated or revoked, as for the key itself.
        """
        key, at = self._key(key_id)
        if key is None or at[KEY.stream(key_id)] != revision:
            raise Unauthenticated(
                "the key that you signed in with was rotated or revoked: sign in again",
                reason="session of a changed key",
            )
        return self._holder(key_id, key, at, key.expires_at)

    def _key(self, key_id: str) -> tuple[Key | None, dict[str, int]]:
        """A key, and the revisions of its stream, and of its account's if that is cached."""
        stream = KEY.stream(key_id)
        cached = self._states.get(stream)
        # The account of a key never changes, so both can be read together.
        guess = cached[1].account_id if cached and isinstance(cached[1], Key) else None
        at = self._store.revisions([stream, *([ACCOUNT.stream(guess)] if guess else [])])
        return self._state(KEY, key_id, at), at

    def _holder(self, key_id: str, key: Key, at: dict[str, int], until: datetime | None) -> Caller:
        if key.invitation:
            raise Unauthenticated(
                "this is an invitation: open its link and accept it", reason="unaccepted invitation"
            )
        if key.revoked:
            raise Unauthenticated("the key is revoked and no longer valid", reason="revoked key")
        if key.expired(datetime.now(UTC)):
            raise Unauthenticated(
                "the key has expired and is no longer valid", reason="expired key"
            )
        has_revision = ACCOUNT.stream(key.account_id) in at
        account = self._account(key.account_id, at if has_revision else None)
        return _caller(key_id, key, account, until)

    def by_account(self, account_id: str) -> Caller:
        """The caller with this account, with all its rights. Raises `Unauthenticated`."""
        account = self._account(account_id, None)
        return Caller(actor=account.name, account_id=account_id, grants=account.grants)

    def _account(self, account_id: str, at: dict[str, int] | None) -> Account:
        if at is None:
            at = self._store.revisions([ACCOUNT.stream(account_id)])
        account = self._state(ACCOUNT, account_id, at)
        if account is None or account.closed:
            raise Unauthenticated(
                "the account is closed, and its keys are no longer valid", reason="closed account"
            )
        return account

    def _state(
        self, aggregate: Aggregate[State], entity_id: str, at: dict[str, int]
    ) -> State | None:
        """The state of a stream at these revisions, or a later one."""
        stream = aggregate.stream(entity_id)
        if stream not in at:
            return None
        cached = self._states.get(stream)
        if cached is None or cached[0] != at[stream]:
            cached = self._fold(aggregate, stream)
        state: State | None = cached[1]  # type: ignore[assignment]  # a stream has one kind of state
        return state

    def _fold(self, aggregate: Aggregate[State], stream: str) -> tuple[int, object]:
        with self._lock:
            # Read under the lock, so that no older state replaces a newer one.
            events = self._store.streams([stream])[stream]
            folded = (len(events), aggregate.fold(recorded.event for recorded in events))
            cached = self._states.pop(stream, None)
            self._states[stream] = folded
            while len(self._states) > CACHED:
                del self._states[next(iter(self._states))]
        if cached is not None and cached[0] > folded[0]:
            log.error(
                "%s went back from revision %d to %d, and no command does that: run `stemma audit"
                " verify`",
                stream,
                cached[0],
                folded[0],
            )
        return folded


def _caller(key_id: str, key: Key, account: Account, until: datetime | None) -> Caller:
    return Caller(
        actor=account.name,
        account_id=key.account_id,
        grants=key.scope.limit(account.grants),
        scope=key.scope,
        until=until,
        key_id=key_id,
    )
