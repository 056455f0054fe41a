"""Who a key is, and what they may: from the log itself, so that a revocation holds at once.

What is folded from the streams of a key and its account is kept; each time it is used, one query
asks whether these streams are still at the same revisions.
"""

import threading
from datetime import UTC, datetime

import msgspec

from application.log.store import Store
from domain.access.account import Account
from domain.access.key import ID_DIGITS, PREFIX, SECRET_DIGITS, Key, Scope, parse_key
from domain.access.roles import Grants
from domain.aggregates import ACCOUNT, KEY, Aggregate, State
from domain.errors import Unauthenticated

CACHED = 10_000
"""Streams whose states are kept; those that came first go first."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: an account by its name, and what it may do the way it came.

    `scope` and `until` are the limits of the key or session, within which all that it issues is.
    """

    actor: str
    account_id: str
    grants: Grants
    scope: Scope = Scope()
    until: datetime | None = None
    key_id: str | None = None


class Access:
    """Opens with keys. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[int, object]] = {}
        self._changing = threading.Lock()

    def by_key(self, text: str) -> Caller:
        """The caller whose key this is. Raises `Unauthenticated`, saying why it opens nothing."""
        key_id, key, at, digest = self._opened(text)
        return self._holder(key_id, key, at, key.until(digest))

    def sign_in(self, text: str) -> tuple[Caller, int]:
        """The same, and the revision of the key, to which a session is bound.

        Raises `Unauthenticated` also for a secret that was replaced and still opens for a while:
        a session would outlive it. A key that is rotated meanwhile gives one that opens nothing.
        """
        key_id, key, at, digest = self._opened(text)
        if not key.is_latest(digest):
            raise Unauthenticated(
                "the key was rotated: sign in with the one that took its place",
                reason="sign-in with a replaced key",
            )
        return self._holder(key_id, key, at, key.expires_at), at[KEY.stream(key_id)]

    def _opened(self, text: str) -> tuple[str, Key, dict[str, int], str]:
        """A key's id, the key, the revisions it was found at, and the digest of what was given."""
        parsed = parse_key(text)
        if parsed is None:
            raise Unauthenticated(
                f"this key is malformed or cut off: one is {PREFIX}, {ID_DIGITS} hexadecimal"
                f" digits, _ and {SECRET_DIGITS} more",
                reason="unknown key",
            )
        key_id, digest = parsed
        key, at = self._key(key_id)
        if key is None or not key.opens(digest, datetime.now(UTC)):
            raise Unauthenticated(
                "the key is unknown, or was rotated: it opens nothing", reason="unknown key"
            )
        return key_id, key, at, digest

    def by_session(self, key_id: str, revision: int) -> Caller:
        """The caller who signed in with a key, which was at this revision then.

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
        """A key, and the revisions of its stream, and of its account's where that is known."""
        stream = KEY.stream(key_id)
        held = self._known.get(stream)
        # The account is that of the key for ever, so both can be looked at together.
        guess = held[1].account_id if held and isinstance(held[1], Key) else None
        at = self._store.revisions([stream, *([ACCOUNT.stream(guess)] if guess else [])])
        return self._state(KEY, key_id, at), at

    def _holder(self, key_id: str, key: Key, at: dict[str, int], until: datetime | None) -> Caller:
        if key.revoked:
            raise Unauthenticated(
                "the key is revoked: it opens nothing any more", reason="revoked key"
            )
        if key.expired(datetime.now(UTC)):
            raise Unauthenticated(
                "the key is expired: it opens nothing any more", reason="expired key"
            )
        known = ACCOUNT.stream(key.account_id) in at
        account = self._account(key.account_id, at if known else None)
        return Caller(
            actor=account.name,
            account_id=key.account_id,
            grants=key.scope.limit(account.grants),
            scope=key.scope,
            until=until,
            key_id=key_id,
        )

    def by_account(self, account_id: str) -> Caller:
        """The caller whose account this is, with all that it may. Raises `Unauthenticated`."""
        account = self._account(account_id, None)
        return Caller(actor=account.name, account_id=account_id, grants=account.grants)

    def _account(self, account_id: str, at: dict[str, int] | None) -> Account:
        if at is None:
            at = self._store.revisions([ACCOUNT.stream(account_id)])
        account = self._state(ACCOUNT, account_id, at)
        if account is None or account.closed:
            raise Unauthenticated(
                "the account is closed: it opens nothing any more", reason="closed account"
            )
        return account

    def _state(
        self, aggregate: Aggregate[State], entity_id: str, at: dict[str, int]
    ) -> State | None:
        """The state of a stream at these revisions, or a later one."""
        stream = aggregate.stream(entity_id)
        if stream not in at:
            return None
        held = self._known.get(stream)
        if held is None or held[0] < at[stream]:
            held = self._fold(aggregate, stream)
        state: State | None = held[1]  # type: ignore[assignment]  # a stream has one kind of state
        return state

    def _fold(self, aggregate: Aggregate[State], stream: str) -> tuple[int, object]:
        events = self._store.streams([stream])[stream]
        folded = (len(events), aggregate.fold(recorded.event for recorded in events))
        with self._changing:
            known = self._known.pop(stream, None)
            self._known[stream] = folded if known is None or known[0] < folded[0] else known
            while len(self._known) > CACHED:
                del self._known[next(iter(self._known))]
        return folded
