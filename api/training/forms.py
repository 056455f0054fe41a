"""The route of the training form."""

from litestar import Controller, get
from litestar.params import FromPath

from api.access.rights import needs
from api.http.parameters import Served
from domain.access.roles import Right
from domain.errors import NotFound
from domain.training.form import KINDS, training_form
from domain.training.form_controls import Form


class FormController(Controller):
    """Training forms."""

    tags = ("Versions",)

    @get(
        "/forms/{kind:str}",
        summary="The training form of a kind of view",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def get_form(self, backend: Served, kind: FromPath[str]) -> Form:
        """The options of a training, in sections.

        A control applies if `shown_when` matches the values of earlier controls (`*` matches any
        value except none); its default is the first of `defaults` whose `when` matches. Defaults
        depend on which pretrained weights are available.
        """
        if kind not in KINDS:
            raise NotFound(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        return training_form(kind, backend.weights.at_hand())
