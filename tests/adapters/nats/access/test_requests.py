"""What each role may ask, tried for real on one server: every cell, allowed or refused."""

import asyncio
from contextlib import suppress

import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from adapters.nats.jetstream import (
    DOMAIN,
)
from adapters.nats.roles import NatsRole
from tests.adapters.nats.access.lab import (
    GUESTS,
    Lab,
    api,
    asked,
)
from tests.adapters.nats.access.table import TABLE
from tests.waiting import HANG_SECONDS


@pytest.mark.parametrize("role", NatsRole)
def test_a_role_is_answered_by_what_it_may_ask_and_by_nothing_else(
    lab: Lab, role: NatsRole
) -> None:
    here = api("") if role in GUESTS else "$JS.API."
    requests = [(subject.replace(api(""), here), payload) for subject, payload, _ in TABLE]
    answered = asyncio.run(asked(lab.login(role), requests))
    may = {subject for subject, _, who in TABLE if role in who}
    assert {subject.replace(here, api("")) for subject in answered} == may


@pytest.mark.parametrize("role", GUESTS)
def test_a_guest_does_not_get_around_that_by_the_api_that_others_use(
    lab: Lab, role: NatsRole
) -> None:
    """In an account of its own, `$JS.API` is that of a JetStream that is not there."""

    async def ask(client: Client) -> None:
        for subject in {one for one, _, _ in TABLE if one.startswith(f"$JS.{DOMAIN}.API.")}:
            with suppress(NoRespondersError):
                reply = await client.request(
                    subject.replace(f".{DOMAIN}.", "."), b"", timeout=HANG_SECONDS
                )
                assert b"JetStream not enabled for account" in reply.data, subject

    lab.run(role, ask)
