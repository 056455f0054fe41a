"""Which processes `stemma up` runs, and what it tells each."""

from pathlib import Path

import pytest

from adapters.services import SERVICES
from adapters.settings import Settings
from cli.operations.up import metrics_port, processes


@pytest.mark.parametrize(
    ("separate", "names"),
    [(False, ["backend", "worker", "api"]), (True, [*SERVICES, "worker", "api"])],
)
def test_processes_have_ports_that_follow_on_each_other(separate: bool, names: list[str]) -> None:
    settings = Settings(data=Path(), metrics_port=9100)
    found = {
        name: metrics_port(settings, place)["STEMMA_METRICS_PORT"]
        for place, (name, _) in enumerate(processes(separate))
    }
    assert found == {name: str(9100 + place) for place, name in enumerate(names)}


def test_without_a_port_none_is_told() -> None:
    assert metrics_port(Settings(data=Path()), 3) == {}
