"""Sign-in attempts: each is kept, sealed, by the browser that began it, and is used once."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from functools import cached_property

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Engine, text

from domain.errors import SignInRefused

LASTS_SECONDS = 600

_MAKE_KEY = text("INSERT INTO work.sign_in_key (key) VALUES (:key) ON CONFLICT DO NOTHING")
_KEY = text("SELECT key FROM work.sign_in_key")
_USE = text("""
    INSERT INTO work.sign_ins_used (digest, until) VALUES (:digest, :until)
    ON CONFLICT DO NOTHING
""")
_PRUNE = text("DELETE FROM work.sign_ins_used WHERE until <= :now")


class Attempt(msgspec.Struct, frozen=True):
    """The secrets of a sign-in, known to the browser and the servers, and the path it leads to."""

    state: str
    nonce: str
    verifier: str
    then: str


class Attempts:
    """Sign-in attempts. All API processes of a database share the sealing key and the list of used
    attempts. Nothing is stored for attempts that are abandoned."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @cached_property
    def _seal(self) -> Fernet:
        with self._engine.begin() as connection:
            connection.execute(_MAKE_KEY, {"key": Fernet.generate_key()})
        with self._engine.begin() as connection:
            return Fernet(bytes(connection.execute(_KEY).scalar_one()))

    def begin(self, then: str) -> tuple[Attempt, str]:
        """A new attempt, and its sealed form for the browser."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, then)
        return attempt, self._seal.encrypt(msgspec.json.encode(attempt)).decode()

    def use(self, sealed: str, state: str) -> Attempt:
        """The attempt that returned with a state. Raises `SignInRefused`, also on reuse."""
        try:
            opened = self._seal.decrypt(sealed.encode(), ttl=LASTS_SECONDS)
        except InvalidToken as error:
            raise SignInRefused(
                f"this browser started no sign-in in the last {LASTS_SECONDS // 60} minutes: sign"
                " in again",
                reason="sign-in: none begun",
            ) from error
        attempt = msgspec.json.decode(opened, type=Attempt)
        if not secrets.compare_digest(attempt.state.encode(), state.encode()):
            raise SignInRefused(
                "this answer belongs to another sign-in, not to the latest of this browser: sign"
                " in again",
                reason="sign-in: wrong state",
            )
        if not self._first_use(attempt.state):
            raise SignInRefused(
                "this sign-in was already used: sign in again", reason="sign-in: used twice"
            )
        return attempt

    def _first_use(self, state: str) -> bool:
        now = datetime.now(UTC)
        # A minute longer than the seal is valid: the clocks of two servers differ.
        until = now + timedelta(seconds=LASTS_SECONDS + 60)
        digest = hashlib.sha256(state.encode()).hexdigest()
        with self._engine.begin() as connection:
            connection.execute(_PRUNE, {"now": now})
            used = connection.execute(_USE, {"digest": digest, "until": until})
            return used.rowcount == 1
