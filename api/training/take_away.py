"""Routes of a model's description, which accompanies its checkpoint: JSON and model card."""

from litestar import Controller, Response, get
from litestar.params import FromPath

from api.access.rights import needs
from api.http.parameters import Served
from application.training.histories import describe, history_of
from application.training.model_card import model_card
from domain.access.roles import Right
from domain.training.model_description import ModelDescription


class TakeAwayController(Controller):
    """A finished version's description; `GET /versions/{id}/checkpoint` has its weights."""

    path = "/versions"
    tags = ("Versions",)

    @get(
        "/{version_id:str}/model.json",
        summary="Describe a model",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_model_description(self, backend: Served, version_id: FromPath[str]) -> ModelDescription:
        """How to use the checkpoint and how it was made, from the log."""
        return describe(history_of(backend.store, version_id))

    @get(
        "/{version_id:str}/model-card",
        summary="A model card",
        media_type="text/markdown",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_model_card(self, backend: Served, version_id: FromPath[str]) -> Response[str]:
        """The description as Markdown."""
        card = model_card(describe(history_of(backend.store, version_id)))
        return Response(card, media_type="text/markdown; charset=utf-8")
