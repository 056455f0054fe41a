"""Sign-ins under way: kept sealed by the browser that began them, and each used once."""

import secrets
import threading
import time

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from domain.errors import SignInRefused

LASTS_SECONDS = 600


class Attempt(msgspec.Struct, frozen=True):
    """What only this browser and this server know of a sign-in, and where it leads."""

    state: str
    nonce: str
    verifier: str
    then: str


class Attempts:
    """Nothing is kept for those that come to nothing. The key is new with each start of the
    server: who is at the provider just then begins again."""

    def __init__(self) -> None:
        self._seal = Fernet(Fernet.generate_key())
        self._used: dict[str, float] = {}
        self._using = threading.Lock()

    def begin(self, then: str) -> tuple[Attempt, str]:
        """A new attempt, and the same sealed for the browser."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, then)
        return attempt, self._seal.encrypt(msgspec.json.encode(attempt)).decode()

    def use(self, sealed: str, state: str) -> Attempt:
        """The attempt that came back with a state. Raises `SignInRefused`, also the second time."""
        try:
            opened = self._seal.decrypt(sealed.encode(), ttl=LASTS_SECONDS)
        except InvalidToken as error:
            raise SignInRefused(
                f"this browser began no sign-in in the last {LASTS_SECONDS // 60} minutes, or the"
                " server was started anew meanwhile: begin again",
                reason="sign-in: none begun",
            ) from error
        attempt = msgspec.json.decode(opened, type=Attempt)
        if not secrets.compare_digest(attempt.state.encode(), state.encode()):
            raise SignInRefused(
                "this answer belongs to another sign-in than the one that this browser began last:"
                " begin again",
                reason="sign-in: wrong state",
            )
        with self._using:
            now = time.monotonic()
            self._used = {one: until for one, until in self._used.items() if until > now}
            if attempt.state in self._used:
                raise SignInRefused(
                    "this sign-in was used already: begin again", reason="sign-in: used twice"
                )
            self._used[attempt.state] = now + LASTS_SECONDS
        return attempt
