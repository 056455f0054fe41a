"""Sessions of signed-in browsers. They may be deleted: they are not part of the event log."""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Engine, text

LONGEST = timedelta(days=7)
IDLE = timedelta(hours=12)
_SEEN_EVERY = timedelta(minutes=1)

KNOWN = 10_000
"""Sessions that a process keeps in mind; the one that was read first is forgotten first."""

IS_THERE = f"""
    EXISTS (SELECT FROM work.sessions WHERE digest = %s AND until > now()
    AND seen_at > now() - interval '{IDLE.total_seconds():.0f} seconds')
"""
"""A condition in SQL on a session's digest: that it has not ended."""

_BEGIN = text("""
    INSERT INTO work.sessions (digest, account_id, key_id, key_revision, seen_at, until)
    VALUES (:digest, :account_id, :key_id, :key_revision, :now, :until)
""")
_FIND = text("""
    SELECT account_id, key_id, key_revision, seen_at, until FROM work.sessions
    WHERE digest = :digest AND until > :now AND seen_at > :idle
""")
_SEEN = text("UPDATE work.sessions SET seen_at = :now WHERE digest = :digest")
_END = text("DELETE FROM work.sessions WHERE digest = :digest")
_PRUNE = text("DELETE FROM work.sessions WHERE until <= :now OR seen_at <= :idle")


class Session(msgspec.Struct, frozen=True):
    """A signed-in browser, with or without a key; `key_revision` is the key's at sign-in.

    `csrf` is the token that its pages send with each change, and that no other site knows. `digest`
    identifies it.
    """

    account_id: str
    key_id: str | None
    key_revision: int
    csrf: str
    until: datetime
    digest: str


class Sessions:
    """Sessions, each identified by a token of 256 random bits. Only its SHA-256 is stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: OrderedDict[str, tuple[Session, datetime]] = OrderedDict()
        self._changing = threading.Lock()

    def begin(self, account_id: str, key_id: str | None = None, key_revision: int = 0) -> str:
        """Begin a session; return the token for the browser."""
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        with self._engine.begin() as connection:
            connection.execute(_PRUNE, {"now": now, "idle": now - IDLE})
            owner = {"account_id": account_id, "key_id": key_id, "key_revision": key_revision}
            times = {"now": now, "until": now + LONGEST}
            connection.execute(_BEGIN, owner | times | {"digest": _digest(token)})
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token; None if it has ended or was idle for too long."""
        digest, now = _digest(token), datetime.now(UTC)
        with self._engine.begin() as connection:
            row = connection.execute(
                _FIND, {"digest": digest, "now": now, "idle": now - IDLE}
            ).first()
            if row is None:
                self._forget(digest)
                return None
            seen_at = row.seen_at
            if seen_at < now - _SEEN_EVERY:
                connection.execute(_SEEN, {"digest": digest, "now": now})
                seen_at = now
        owner = row.account_id, row.key_id, row.key_revision
        session = Session(*owner, csrf_of(token), row.until, digest)
        with self._changing:
            self._known[digest] = session, seen_at
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return session

    def remembered(self, token: str) -> Session | None:
        """The same, as it was read by this process within the last minute. Asks no server: whether
        it `IS_THERE` is for the caller to compare."""
        known = self._known.get(_digest(token))
        if known is None:
            return None
        (session, seen_at), now = known, datetime.now(UTC)
        return session if now < session.until and now - seen_at < _SEEN_EVERY else None

    def end(self, token: str) -> None:
        digest = _digest(token)
        with self._engine.begin() as connection:
            connection.execute(_END, {"digest": digest})
        self._forget(digest)

    def _forget(self, digest: str) -> None:
        with self._changing:
            self._known.pop(digest, None)


def csrf_of(token: str) -> str:
    """The CSRF token, derived from the session's token, which cannot be derived from it."""
    return hmac.digest(token.encode(), b"csrf", "sha256").hex()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
