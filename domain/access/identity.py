"""Identities of an identity provider, and the names of their accounts."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import count

import msgspec

NAMELESS = "person"
LONGEST = 90
_UNFIT = re.compile(r"[^A-Za-z0-9._@-]+")


class Identity(msgspec.Struct, frozen=True):
    """Somebody of a provider's. `email` is one that the provider has verified."""

    issuer: str
    subject: str
    email: str | None = None
    username: str | None = None
    groups: frozenset[str] = frozenset()


def names_for(identity: Identity) -> Iterator[str]:
    """Candidate names of the account: the best one first, then that one with numbers.

    It is the verified e-mail address, or else the user name, which people may choose themselves.
    """
    preferred = _fit(identity.email) or _fit(identity.username) or NAMELESS
    yield preferred
    for number in count(2):
        yield f"{preferred}-{number}"


def _fit(text: str | None) -> str:
    """The text reduced to the characters that names may have; may be empty."""
    plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
    return _UNFIT.sub("-", plain).strip("-._@")[:LONGEST]
