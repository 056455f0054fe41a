"""Routes of webhooks: who is told of events, and how that goes."""

import asyncio
import time
from collections.abc import Callable

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from adapters.webhooks.addresses import Refused, parsed
from adapters.webhooks.sending import Sender, message_of
from api.backend import Backend
from api.commands import Answer, carry_out, envelope
from api.parameters import HttpRequest, Served
from api.rights import needs
from api.webhook_reading import (
    GivenSecret,
    NewWebhook,
    Replay,
    Tried,
    Webhooks,
    WebhookView,
    endpoint_for,
    grants_of,
    refuse_others,
    rows,
)
from application.handle import Decided, Request, Session, handle
from application.webhooks import (
    all_endpoints,
    both_until,
    change_webhook,
    new_secret,
    register_webhook,
    secret_given,
)
from domain.errors import Conflict, Invalid, Stale
from domain.roles import Right
from domain.webhook import (
    Command,
    PauseWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateSecret,
    Webhook,
)

ADMINISTER = needs(Right.ADMINISTER, anywhere=True)


class WebhookController(Controller):
    """Events sent to a URL of yours. For administrators, of a project or of all."""

    tags = ("Webhooks",)

    @post("/webhooks", summary="Register a webhook", opt=ADMINISTER)
    async def register(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewWebhook]
    ) -> Response[GivenSecret]:
        """Events are sent from now on, signed with the secret in the answer: keep it.

        The URL begins with https and leads to a public address, unless the operator allows others.
        """
        grants = grants_of(request)
        await asyncio.to_thread(refuse_others, grants, data.project_id)
        try:
            url = parsed(data.url)
            async with asyncio.timeout(backend.webhook_timeout):
                await backend.gate.addresses(url)
        except Refused as refused:
            raise Invalid(str(refused), field="url") from refused
        except TimeoutError:
            raise Invalid("no name server says where the host of the URL is", field="url") from None
        command = RegisterWebhook(
            data.url,
            url.netloc.decode(),
            data.names,
            data.project_id,
            data.description,
            new_secret(),
        )
        return await asyncio.to_thread(
            _with_secret,
            backend,
            envelope(request, data),
            lambda session: register_webhook(session, command),
            201,
        )

    @get("/webhooks", summary="List webhooks", sync_to_thread=True, opt=ADMINISTER)
    def list_webhooks(self, backend: Served, request: HttpRequest) -> Webhooks:
        """Those that are not removed, in the order in which they were registered."""
        grants = grants_of(request)
        found = [
            one
            for one in all_endpoints(backend.store).values()
            if grants.may(Right.ADMINISTER, one.webhook.registered.project_id)
        ]
        return Webhooks(*rows(backend, found))

    @get("/webhooks/{webhook_id:str}", summary="A webhook", sync_to_thread=True, opt=ADMINISTER)
    def get_webhook(
        self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]
    ) -> Response[WebhookView]:
        """How far it has been served, and what is wrong if something is."""
        endpoint = endpoint_for(backend, grants_of(request), webhook_id)
        [row], position = rows(backend, [endpoint])
        return Response(WebhookView(row, position), headers={"ETag": f'"{row.revision}"'})

    @delete(
        "/webhooks/{webhook_id:str}",
        summary="Remove a webhook",
        status_code=200,
        sync_to_thread=True,
        opt=ADMINISTER,
    )
    def remove(
        self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]
    ) -> Response[Answer]:
        """Nothing is sent any more. This is final."""
        return _change(backend, request, webhook_id, None, lambda _: RemoveWebhook())

    @post(
        "/webhooks/{webhook_id:str}/pause",
        summary="Pause a webhook",
        status_code=200,
        sync_to_thread=True,
        opt=ADMINISTER,
    )
    def pause(
        self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]
    ) -> Response[Answer]:
        """Nothing is sent until it is resumed. A message that is under way may still arrive."""
        return _change(backend, request, webhook_id, None, lambda _: PauseWebhook())

    @post(
        "/webhooks/{webhook_id:str}/resume",
        summary="Resume a webhook",
        status_code=200,
        sync_to_thread=True,
        opt=ADMINISTER,
    )
    def resume(
        self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]
    ) -> Response[Answer]:
        """A webhook that is paused or parked goes on where it was: nothing is left out."""
        return _change(backend, request, webhook_id, None, lambda _: ResumeWebhook())

    @post(
        "/webhooks/{webhook_id:str}/replay",
        summary="Send events again",
        status_code=200,
        sync_to_thread=True,
        opt=ADMINISTER,
    )
    def replay(
        self,
        backend: Served,
        request: HttpRequest,
        webhook_id: FromPath[str],
        data: JSONBody[Replay],
    ) -> Response[Answer]:
        """Go on after any position of the log, an earlier or a later one."""
        return _change(
            backend,
            request,
            webhook_id,
            data,
            lambda session: ReplayWebhook(data.after, session.position),
        )

    @post(
        "/webhooks/{webhook_id:str}/rotate",
        summary="Give a webhook another secret",
        status_code=200,
        sync_to_thread=True,
        opt=ADMINISTER,
    )
    def rotate(
        self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]
    ) -> Response[GivenSecret]:
        """For 24 hours messages are signed with the secret before, too."""
        endpoint_for(backend, grants_of(request), webhook_id)
        command = RotateSecret(new_secret(), both_until())
        return _with_secret(
            backend,
            envelope(request, None),
            lambda session: change_webhook(session, webhook_id, command),
            200,
        )

    @post(
        "/webhooks/{webhook_id:str}/test",
        summary="Send a test message",
        status_code=200,
        opt=ADMINISTER,
    )
    async def test(self, backend: Served, request: HttpRequest, webhook_id: FromPath[str]) -> Tried:
        """Send the event of the webhook's registration, now and once, and say what came of it.

        That works while the webhook is paused or parked, and changes nothing.
        """
        endpoint = await asyncio.to_thread(endpoint_for, backend, grants_of(request), webhook_id)
        if envelope(request, None).expected_revision not in {None, endpoint.revision}:
            raise Stale(f"the webhook is at revision {endpoint.revision}: look at it again")
        webhook, began = endpoint.webhook, time.monotonic()
        async with Sender(backend.gate, backend.webhook_timeout) as sender:
            answer = await sender.send(
                webhook.registered.url, message_of(endpoint.registered), [webhook.secret]
            )
        return Tried(answer.status, answer.trouble, round(time.monotonic() - began, 3))


def _change(
    backend: Backend,
    request: HttpRequest,
    webhook_id: str,
    content: object,
    command: Callable[[Session], Command],
) -> Response[Answer]:
    # A removal that is sent again is answered as it was the first time.
    endpoint_for(backend, grants_of(request), webhook_id, removed_too=True)
    return carry_out(
        backend,
        request,
        content,
        lambda session: change_webhook(session, webhook_id, command(session)),
    )


def _with_secret(
    backend: Backend,
    asked: Request,
    decide: Callable[[Session], Decided[Webhook]],
    status_code: int,
) -> Response[GivenSecret]:
    """Carry out what gives a webhook a secret. The same command sent again gets the same answer:
    whoever has lost the first one would otherwise never know the secret."""
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
