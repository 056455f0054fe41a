"""What a request asks of a webhook, for whoever administers what the webhook tells."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from litestar import Response
from litestar.params import FromPath

from adapters.subscriptions.webhooks.sending import Sender, message_of
from api.backend import Backend
from api.http.commands import Answer, CommandRunner, envelope
from api.http.parameters import HttpRequest, Served
from api.subscriptions.webhook_reading import (
    GivenSecret,
    Tried,
    WebhookRow,
    endpoint_for,
    grants_of,
    rows,
)
from application.handle import Decided, Session, handle
from application.webhooks import Endpoint, change_webhook, secret_given
from domain.errors import Conflict, Stale
from domain.subscriptions.webhook import Command, Webhook


class Asked:
    """The webhook that the path of a request names. Each method raises `NotFound` for one that is
    not there, or is not the caller's to know."""

    def __init__(self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]) -> None:
        self._backend = backend
        self._request = request
        self._id = webhook_id

    def row(self) -> tuple[WebhookRow, int]:
        """How it goes, and where the log ends."""
        [row], position = rows(self._backend, [self._endpoint()])
        return row, position

    def change(
        self, command: Callable[[Session], Command], content: object = None
    ) -> Response[Answer]:
        """Carry a command out; `content` is the body that it came with."""
        # A removal that is sent again is answered as it was the first time.
        self._endpoint(removed_too=True)
        return CommandRunner(self._backend, self._request)(self._decide(command), content)

    def change_secret(self, command: Command) -> Response[GivenSecret]:
        self._endpoint()
        return with_secret(self._backend, self._request, None, self._decide(lambda _: command), 200)

    def to_try(self) -> Endpoint:
        """The webhook at the revision that the request expects, if it expects one."""
        endpoint = self._endpoint()
        if envelope(self._request, None).expected_revision not in {None, endpoint.revision}:
            raise Stale(f"the webhook is at revision {endpoint.revision}: look at it again")
        return endpoint

    def _endpoint(self, *, removed_too: bool = False) -> Endpoint:
        grants = grants_of(self._request)
        return endpoint_for(self._backend, grants, self._id, removed_too=removed_too)

    def _decide(
        self, command: Callable[[Session], Command]
    ) -> Callable[[Session], Decided[Webhook]]:
        return lambda session: change_webhook(session, self._id, command(session))


def with_secret(
    backend: Backend,
    request: HttpRequest,
    content: object,
    decide: Callable[[Session], Decided[Webhook]],
    status_code: int,
) -> Response[GivenSecret]:
    """Carry out what gives a webhook a secret. The same command sent again gets the same answer:
    whoever has lost the first one would otherwise never know the secret."""
    asked = envelope(request, content)
    outcome = handle(backend.store, asked, decide)
    secret = secret_given(backend.store, outcome.id, asked.command_id)
    if secret is None:
        raise Conflict(
            "the command id was used for another command; use a fresh one", field="Idempotency-Key"
        )
    return Response(
        GivenSecret(outcome.id, secret, outcome.revision, outcome.position),
        status_code=status_code,
        headers={"ETag": f'"{outcome.revision}"', "Cache-Control": "no-store"},
    )


async def tried(backend: Backend, endpoint: Endpoint) -> Tried:
    """Send the event of the webhook's registration, signed as any other would be."""
    webhook, began = endpoint.webhook, time.monotonic()
    async with Sender(backend.gate, backend.webhook_timeout) as sender:
        answer = await sender.send(
            webhook.registered.url,
            message_of(endpoint.registered),
            webhook.secrets(datetime.now(UTC)),
        )
    return Tried(answer.status, answer.trouble, round(time.monotonic() - began, 3))
