"""What an account of a provider's is called."""

from itertools import islice

import pytest

from domain.access.account import OpenAccount, decide
from domain.access.identity import Identity, names_for


def first(email: str | None = None, username: str | None = None) -> str:
    return next(names_for(Identity("https://idp.example", "1", email, username)))


@pytest.mark.parametrize(
    ("email", "username", "name"),
    [
        ("ada@example.com", "countess", "ada@example.com"),
        (None, "Ada Lovelace", "Ada-Lovelace"),
        (None, "Zoë", "Zoe"),
        (None, "../../admin\u202e", "admin"),
        (None, "\u0430\u0434\u0430", "person"),
        ("…", "ada", "ada"),
        (None, None, "person"),
        (None, "x" * 500, "x" * 90),
    ],
)
def test_a_name_is_made_of_what_the_provider_says(
    email: str | None, username: str | None, name: str
) -> None:
    assert first(email, username) == name


def test_every_name_can_be_an_account() -> None:
    for text in ("", "a+b@example.com", "-._@", "é" * 99, "\0", "x" * 500, "a\ud800b"):
        for name in islice(names_for(Identity("i", "s", None, text)), 12):
            assert decide(OpenAccount(name), None)


def test_further_names_differ() -> None:
    names = list(islice(names_for(Identity("i", "s", "ada@example.com")), 3))
    assert names == ["ada@example.com", "ada@example.com-2", "ada@example.com-3"]
