"""Sign-in codes: each signs one browser in, once, with a key that the browser does not see."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Engine, text

LASTS = timedelta(minutes=5)

_ISSUE = text("""
    INSERT INTO work.sign_in_codes (digest, key_id, key_revision, until)
    VALUES (:digest, :key_id, :key_revision, :until)
""")
_FIND = text("""
    SELECT key_id, key_revision FROM work.sign_in_codes WHERE digest = :digest AND until > :now
""")
_USE = text("DELETE FROM work.sign_in_codes WHERE digest = :digest AND until > :now")
_PRUNE = text("DELETE FROM work.sign_in_codes WHERE until <= :now")


class CodeOwner(msgspec.Struct, frozen=True):
    """The key that a code was issued for, and the key's revision at that time."""

    key_id: str
    key_revision: int


class SignInCodes:
    """Codes of 192 random bits, valid for five minutes. Only their SHA-256 is stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def issue(self, owner: CodeOwner) -> tuple[str, datetime]:
        """A new code, and when it expires."""
        code, now = secrets.token_urlsafe(24), datetime.now(UTC)
        row = msgspec.structs.asdict(owner) | {"digest": _digest(code), "until": now + LASTS}
        with self._engine.begin() as connection:
            connection.execute(_PRUNE, {"now": now})
            connection.execute(_ISSUE, row)
        return code, now + LASTS

    def find(self, code: str) -> CodeOwner | None:
        """The owner of a code, which stays valid; None if it is unknown, used or expired."""
        with self._engine.connect() as connection:
            row = connection.execute(_FIND, _asked(code)).first()
        return CodeOwner(row.key_id, row.key_revision) if row else None

    def use(self, code: str) -> bool:
        """Whether the code was valid until now. Of two calls at once, one gets True."""
        with self._engine.begin() as connection:
            return connection.execute(_USE, _asked(code)).rowcount == 1


def _asked(code: str) -> dict[str, object]:
    return {"digest": _digest(code), "now": datetime.now(UTC)}


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
