"""People with roles for tests of what they may."""

from typing import Any

import httpx

from tests.api.scene import Scene


class People:
    """Accounts that tests open, each under a name of its own."""

    def __init__(self, site: Scene) -> None:
        self.site = site
        self._count = 0

    def join(self, *roles: tuple[str, str | None], **limits: Any) -> tuple[str, httpx.Client]:
        """A new account with these roles in these projects, and a client with a key of its own."""
        self._count += 1
        opened = self.site.post("/accounts", {"name": f"somebody-{self._count}"})["id"]
        for role, project in roles:
            self.grant(opened, role, project)
        key = self.site.post("/keys", {"label": "test", "account_id": opened, **limits})["key"]
        return opened, self.site.client(key)

    def grant(self, account: str, role: str, project: str | None = None) -> None:
        self.site.post(f"/accounts/{account}/roles", {"role": role, "project_id": project})
