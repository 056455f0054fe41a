import inspect
from pkgutil import resolve_name

import pytest

from adapters.services import SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_a_service_takes_the_settings_the_log_and_when_to_stop(name: str) -> None:
    assert len(inspect.signature(resolve_name(SERVICES[name].run)).parameters) == 3
