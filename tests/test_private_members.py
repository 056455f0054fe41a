"""Private members of libraries that our code uses: an upgrade without one fails here, by name."""

from importlib.metadata import version

import pytest
from litestar import Litestar, get
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from nats.aio.client import Client
from sqlalchemy import Column, Integer, MetaData, Table, select
from sqlalchemy.dialects.postgresql import insert
from torch.nn import BatchNorm2d
from torch.nn.modules import batchnorm
from torchvision.transforms.v2 import TrivialAugmentWide

_TABLE = Table("numbers", MetaData(), Column("n", Integer, primary_key=True))
_CTE = select(_TABLE.c.n).cte()


@get("/{n:int}", sync_to_thread=False)
def _handler(n: FromPath[int]) -> int:
    return n


[_ROUTE] = Litestar([_handler], openapi_config=None).routes
assert isinstance(_ROUTE, HTTPRoute)


@pytest.mark.parametrize(
    ("library", "used_in", "holder", "member"),
    [
        ("sqlalchemy", "projections/engine/folding.py", holder, member)
        for holder, member in [
            (_TABLE.update().values(n=1), "_values"),
            (_TABLE.update().returning(_TABLE.c.n), "_returning"),
            (_TABLE.update().add_cte(_CTE), "_independent_ctes"),
            (insert(_TABLE).values(n=1), "_values"),
            (insert(_TABLE).values([{"n": 1}]), "_multi_values"),
            (insert(_TABLE).returning(_TABLE.c.n), "_returning"),
            (insert(_TABLE).add_cte(_CTE), "_independent_ctes"),
            (insert(_TABLE).on_conflict_do_nothing(), "_post_values_clause"),
        ]
    ]
    + [
        ("litestar", "api/http/parameters.py", _ROUTE.route_handlers[0].signature_model, "_fields"),
        ("torchvision", "gpu_worker/augment.py", TrivialAugmentWide(), "_AUGMENTATION_SPACE"),
        ("torchvision", "gpu_worker/augment.py", TrivialAugmentWide(), "_fill"),
        (
            "torchvision",
            "gpu_worker/augment.py",
            TrivialAugmentWide(),
            "_apply_image_or_video_transform",
        ),
        ("torch", "gpu_worker/tasks.py", batchnorm, "_BatchNorm"),
        ("nats-py", "adapters/subscriptions/relay.py", Client().jetstream(), "_nc"),
        ("nats-py", "adapters/subscriptions/relay.py", Client(), "_send_command"),
    ],
)
def test_a_private_member_is_there_and_holds_something(
    library: str, used_in: str, holder: object, member: str
) -> None:
    message = (
        f"{library} {version(library)} has no {type(holder).__name__}.{member} as {used_in} uses it"
    )
    assert getattr(holder, member, None) not in (None, (), {}), message


def test_batch_normalisation_has_the_private_base() -> None:
    assert issubclass(BatchNorm2d, batchnorm._BatchNorm), "gpu_worker/tasks.py finds layers by it"
