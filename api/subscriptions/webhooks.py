"""Routes of webhooks: registration, state, and control."""

import asyncio

import httpx
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from adapters.subscriptions.webhooks.addresses import Refused, parsed
from api.access.rights import needs
from api.backend import Backend
from api.http.commands import CommandResult
from api.http.parameters import HttpRequest, Served, provided
from api.subscriptions.webhook_reading import (
    GivenSecret,
    NewWebhook,
    Replay,
    Webhooks,
    WebhookTest,
    WebhookView,
    administered,
    grants_of,
    refuse_others,
    rows,
)
from api.subscriptions.webhook_requests import WebhookRequest, send_test, with_secret
from application.webhooks import both_until, new_secret, register_webhook
from domain.access.roles import Right
from domain.errors import Invalid
from domain.subscriptions.webhook import (
    PauseWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateSecret,
)

ONE = "/{webhook_id:str}"


class WebhookController(Controller):
    """Webhooks, which send events to a URL. For administrators of a project or of all projects."""

    path = "/webhooks"
    tags = ("Webhooks",)
    opt = needs(Right.ADMINISTER, anywhere=True)
    dependencies = provided(hook=WebhookRequest)

    @post(summary="Register a webhook")
    async def register_webhook(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewWebhook]
    ) -> Response[GivenSecret]:
        """Events are sent from now on, signed with the secret in the answer: keep it.

        The URL begins with https and resolves to a public address, unless the operator allows
        others.
        """
        await asyncio.to_thread(refuse_others, grants_of(request), data.project_id)
        url = await _callable(backend, data.url)
        command = RegisterWebhook(
            data.url,
            url.netloc.decode(),
            data.names,
            data.project_id,
            data.description,
            new_secret(),
        )
        return await asyncio.to_thread(
            with_secret,
            backend,
            request,
            data,
            lambda session: register_webhook(session, command),
            201,
        )

    @get(summary="List webhooks", sync_to_thread=True)
    def list_webhooks(self, backend: Served, request: HttpRequest) -> Webhooks:
        """Webhooks that are not removed, in order of registration."""
        return Webhooks(*rows(backend, administered(backend, grants_of(request))))

    @get(ONE, summary="A webhook", sync_to_thread=True)
    def get_webhook(self, hook: NamedDependency[WebhookRequest]) -> Response[WebhookView]:
        """The position that it has reached, and its last error."""
        row, position = hook.row()
        return Response(WebhookView(row, position), headers={"ETag": f'"{row.revision}"'})

    @delete(ONE, summary="Remove a webhook", status_code=200, sync_to_thread=True)
    def remove_webhook(self, hook: NamedDependency[WebhookRequest]) -> Response[CommandResult]:
        """Stop all deliveries. This is final."""
        return hook.change(lambda _: RemoveWebhook())

    @post(f"{ONE}/pause", summary="Pause a webhook", status_code=200, sync_to_thread=True)
    def pause_webhook(self, hook: NamedDependency[WebhookRequest]) -> Response[CommandResult]:
        """Stop deliveries until it is resumed. A message in flight may still arrive."""
        return hook.change(lambda _: PauseWebhook())

    @post(f"{ONE}/resume", summary="Resume a webhook", status_code=200, sync_to_thread=True)
    def resume_webhook(self, hook: NamedDependency[WebhookRequest]) -> Response[CommandResult]:
        """Resume a paused or parked webhook at its position, without gaps. The caller becomes its
        owner: it is served while the owner administers its project."""
        return hook.change(lambda _: ResumeWebhook())

    @post(f"{ONE}/replay", summary="Send events again", status_code=200, sync_to_thread=True)
    def replay_webhook(
        self, hook: NamedDependency[WebhookRequest], data: JSONBody[Replay]
    ) -> Response[CommandResult]:
        """Continue after any position of the log, an earlier or a later one."""
        return hook.change(lambda session: ReplayWebhook(data.after, session.position), data)

    @post(
        f"{ONE}/rotate",
        summary="Give a webhook another secret",
        status_code=200,
        sync_to_thread=True,
    )
    def rotate_webhook_secret(self, hook: NamedDependency[WebhookRequest]) -> Response[GivenSecret]:
        """For 24 hours messages are signed with the previous secret, too."""
        return hook.change_secret(RotateSecret(new_secret(), both_until()))

    @post(f"{ONE}/test", summary="Send a test message", status_code=200)
    async def test_webhook(
        self, backend: Served, hook: NamedDependency[WebhookRequest]
    ) -> WebhookTest:
        """Send the event of the webhook's registration once, and return the result.

        This works while the webhook is paused or parked, and changes nothing.
        """
        return await send_test(backend, await asyncio.to_thread(hook.to_try))


async def _callable(backend: Backend, text: str) -> httpx.URL:
    """The URL, if it may be called. Raises `Invalid`."""
    try:
        url = parsed(text)
        async with asyncio.timeout(backend.webhook_timeout):
            await backend.gate.addresses(url)
    except Refused as refused:
        raise Invalid(str(refused), field="url") from refused
    except TimeoutError:
        raise Invalid("the host of the URL cannot be resolved", field="url") from None
    return url
