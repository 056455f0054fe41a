"""Accounts, their roles, and keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Members:
    """The accounts and their rights. Needs an administrator."""

    def __init__(self, client: Stemma) -> None:
        self._client = client

    def list(self) -> Rows[answers.AccountView]:
        """List all accounts with their roles."""
        pages = self._client.pages(operations.list_accounts(limit=500))
        return Rows(one for page in pages for one in page.items)

    def open(self, name: str, *, email: str | None = None, kind: str = "person") -> str:
        """Open an account and return its id."""
        body = answers.NewAccount(name=name, email=email, kind=kind)
        return self._client.send(operations.open_account(body)).id

    def grant(self, account_id: str, role: str, *, project_id: str | None = None) -> None:
        """Grant a role, in a project or in all."""
        body = answers.NewRole(role=role, project_id=project_id)
        self._client.send(operations.grant_role(account_id, body))

    def withdraw(self, account_id: str, role: str, *, project_id: str | None = None) -> None:
        """Withdraw a role."""
        self._client.send(operations.withdraw_role(account_id, role, project_id=project_id))

    def close(self, account_id: str) -> None:
        """Close an account: none of its keys is valid any more."""
        self._client.send(operations.close_account(account_id))

    def erase(self, account_id: str, reason: str) -> None:
        """Delete the person's name and address permanently."""
        body = answers.NewAccountErasure(reason=reason)
        self._client.send(operations.erase_account(account_id, body))


class Keys:
    """The keys of the API."""

    def __init__(self, client: Stemma) -> None:
        self._client = client

    def list(self, account_id: str | None = None) -> Rows[answers.KeyView]:
        """Your keys, or those of an account."""
        pages = self._client.pages(operations.list_keys(account_id=account_id, limit=500))
        return Rows(one for page in pages for one in page.items)

    def issue(
        self,
        label: str,
        *,
        account_id: str | None = None,
        expires_at: datetime | None = None,
        projects: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
        key: str | None = None,
    ) -> answers.IssuedKey:
        """Issue a key, limited to projects and roles if given. It is shown once: the answer to a
        repeated Idempotency-Key does not contain it."""
        body = answers.NewKey(
            label=label,
            account_id=account_id,
            expires_at=expires_at,
            projects=None if projects is None else list(projects),
            roles=None if roles is None else list(roles),
        )
        return self._client.send(operations.issue_key(body), key=key)

    def rotate(self, key_id: str, *, overlap_seconds: float = 0) -> answers.IssuedKey:
        """Issue a new secret of a key; the previous one stays valid for some seconds."""
        body = answers.Rotation(overlap_seconds=overlap_seconds)
        return self._client.send(operations.rotate_key(key_id, body))

    def revoke(self, key_id: str) -> None:
        """Make a key invalid."""
        self._client.send(operations.revoke_key(key_id))
