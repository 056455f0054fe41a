"""Webhooks: messages about events to an address of yours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Webhooks:
    """The webhooks."""

    def __init__(self, client: Stemma) -> None:
        self._client = client

    def list(self) -> Rows[answers.WebhookRow]:
        """All webhooks that the account administers."""
        return Rows(self._client.send(operations.list_webhooks()).items)

    def get(self, webhook_id: str) -> answers.WebhookRow:
        """A webhook: its position, and its last error."""
        return self._client.send(operations.get_webhook(webhook_id)).webhook

    def register(
        self,
        url: str,
        *,
        names: Sequence[str] = (),
        project_id: str | None = None,
        description: str = "",
    ) -> answers.GivenSecret:
        """Send events of these names to an address; the secret that signs them is shown once."""
        body = answers.NewWebhook(
            url=url, names=list(names), project_id=project_id, description=description
        )
        return self._client.send(operations.register_webhook(body))

    def pause(self, webhook_id: str) -> None:
        """Send nothing until the webhook is resumed."""
        self._client.send(operations.pause_webhook(webhook_id))

    def resume(self, webhook_id: str) -> None:
        """Resume at its position."""
        self._client.send(operations.resume_webhook(webhook_id))

    def replay(self, webhook_id: str, after: int) -> None:
        """Send the events after a position again."""
        body = answers.Replay(after=after)
        self._client.send(operations.replay_webhook(webhook_id, body))

    def rotate(self, webhook_id: str) -> answers.GivenSecret:
        """Get a new secret."""
        return self._client.send(operations.rotate_webhook_secret(webhook_id))

    def test(self, webhook_id: str) -> answers.WebhookTest:
        """Send a test message now."""
        return self._client.send(operations.test_webhook(webhook_id))

    def remove(self, webhook_id: str) -> None:
        """Stop sending."""
        self._client.send(operations.remove_webhook(webhook_id))
