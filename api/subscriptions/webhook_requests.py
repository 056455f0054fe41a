"""Requests about one webhook, for administrators of its project."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from litestar import Response
from litestar.params import FromPath

from adapters.subscriptions.webhooks.sending import Sender, message_of
from api.backend import Backend
from api.http.commands import CommandResult, carry_out, envelope
from api.http.parameters import HttpRequest, Served
from api.subscriptions.webhook_reading import (
    GivenSecret,
    WebhookRow,
    WebhookTest,
    endpoint_for,
    grants_of,
    rows,
)
from application.handle import Decided, Session, handle
from application.webhooks import Endpoint, secret_given
from domain.aggregates import WEBHOOK
from domain.errors import KeyReused, Stale
from domain.subscriptions.webhook import Command, Webhook


class WebhookRequest:
    """The webhook that the path of a request names. Each method raises `NotFound` if it is missing
    or hidden from the caller."""

    def __init__(self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]) -> None:
        self._backend = backend
        self._request = request
        self._id = webhook_id

    def row(self) -> tuple[WebhookRow, int]:
        """Its state, and the end of the log."""
        [row], position = rows(self._backend, [self._endpoint()])
        return row, position

    def change(
        self, command: Callable[[Session], Command], content: object = None
    ) -> Response[CommandResult]:
        """Carry out a command; `content` is the body of its request."""
        # A repeated removal has the same answer as the first one.
        self._endpoint(removed_too=True)
        return carry_out(self._backend, self._request, content, self._decide(command))

    def change_secret(self, command: Command) -> Response[GivenSecret]:
        self._endpoint()
        return with_secret(self._backend, self._request, None, self._decide(lambda _: command), 200)

    def to_try(self) -> Endpoint:
        """The webhook at the revision that the request expects, if it expects one."""
        endpoint = self._endpoint()
        if envelope(self._request, None).expected_revision not in {None, endpoint.revision}:
            raise Stale(f"the webhook is at revision {endpoint.revision}: load it again")
        return endpoint

    def _endpoint(self, *, removed_too: bool = False) -> Endpoint:
        grants = grants_of(self._request)
        return endpoint_for(self._backend, grants, self._id, removed_too=removed_too)

    def _decide(
        self, command: Callable[[Session], Command]
    ) -> Callable[[Session], Decided[Webhook]]:
        return lambda session: session.change(WEBHOOK, self._id, command(session))


def with_secret(
    backend: Backend,
    request: HttpRequest,
    content: object,
    decide: Callable[[Session], Decided[Webhook]],
    status_code: int,
) -> Response[GivenSecret]:
    """Carry out a command that gives a webhook a secret. A repeated command has the same answer:
    a caller that lost the first answer could otherwise never get the secret."""
    command_request = envelope(request, content)
    outcome = handle(backend.store, command_request, decide)
    secret = secret_given(backend.store, outcome.id, command_request.command_id)
    if secret is None:
        raise KeyReused(
            "the command id was used for another command; use a fresh one", field="Idempotency-Key"
        )
    return Response(
        GivenSecret(outcome.id, secret, outcome.revision, outcome.position),
        status_code=status_code,
        headers={"ETag": f'"{outcome.revision}"', "Cache-Control": "no-store"},
    )


async def send_test(backend: Backend, endpoint: Endpoint) -> WebhookTest:
    """Send the event of the webhook's registration, signed like any other."""
    webhook, began = endpoint.webhook, time.monotonic()
    async with Sender(backend.gate, backend.webhook_timeout) as sender:
        answer = await sender.send(
            webhook.registered.url,
            message_of(endpoint.registered),
            webhook.secrets(datetime.now(UTC)),
        )
    return WebhookTest(answer.status, answer.trouble, round(time.monotonic() - began, 3))
