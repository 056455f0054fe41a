"""The pages: server-rendered, and live where something can change."""

from litestar import Controller, get
from litestar.response import Redirect


class PageController(Controller):
    """HTML pages; nothing is only here: each thing done is one call of the API."""

    include_in_schema = False

    @get("/")
    async def home(self) -> Redirect:
        return Redirect("/schema")
